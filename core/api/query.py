"""Query strings of list operations: filters, comparators, sorting and paging. Pure.

`name=x` filters exactly, `name__contains=x` (startswith, endswith, and each with a leading `i` for any case) loosely,
as the Identity API documents under "Filtering". Attributes that an operation does not name as filters are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from core.api.fault import bad_request

LIMIT_MAX = 10_000
FIELD_COUNT_MAX = 100

COMPARATORS: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda value, wanted: wanted in value,
    "startswith": lambda value, wanted: value.startswith(wanted),
    "endswith": lambda value, wanted: value.endswith(wanted),
    "icontains": lambda value, wanted: wanted.casefold() in value.casefold(),
    "istartswith": lambda value, wanted: value.casefold().startswith(wanted.casefold()),
    "iendswith": lambda value, wanted: value.casefold().endswith(wanted.casefold()),
    "iequals": lambda value, wanted: value.casefold() == wanted.casefold(),
}


class Inexact(NamedTuple):
    """A loose filter: attribute, comparator and the value wanted."""

    attribute: str
    comparator: str
    wanted: str

    def fits(self, row: Mapping[str, Any]) -> bool:
        """Whether a row passes; a missing attribute never does."""
        value = row.get(self.attribute)
        return isinstance(value, str) and COMPARATORS[self.comparator](value, self.wanted)


class Query:
    """A parsed query string. Raises Fault 400 when it is not UTF-8 or absurdly long."""

    def __init__(self, raw: str) -> None:
        try:
            self.fields = parse_qsl(
                raw, keep_blank_values=True, errors="strict", max_num_fields=FIELD_COUNT_MAX
            )
        except (UnicodeDecodeError, ValueError):
            raise bad_request("The query string cannot be read.") from None
        if any("\0" in value for _, value in self.fields):
            raise bad_request("The query string holds a NUL character.")
        self._last = dict(self.fields)

    def get(self, name: str) -> str | None:
        """Last value of a field, or None."""
        return self._last.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._last

    def flag(self, name: str) -> bool:
        """A field that is set by its presence, and unset by `0` or `false` (Keystone's query_filter_is_true)."""
        value = self._last.get(name)
        return value is not None and value.strip().lower() not in {"0", "false", "no", "off"}

    def boolean(self, name: str) -> bool | None:
        """None when the field is missing."""
        return self.flag(name) if name in self._last else None

    def exact(self, *attributes: str) -> dict[str, str]:
        """Exact filters among `attributes`."""
        return {name: self._last[name] for name in attributes if name in self._last}

    def inexact(self, *attributes: str) -> list[Inexact]:
        """Loose filters among `attributes`."""
        found = []
        for field, wanted in self.fields:
            name, separator, comparator = field.partition("__")
            if separator and name in attributes and comparator in COMPARATORS:
                found.append(Inexact(name, comparator, wanted))
        return found

    def limit(self) -> int | None:
        """Largest page the caller wants. Raises Fault 400 when it is no positive number."""
        raw = self._last.get("limit")
        if raw is None:
            return None
        if not raw.isascii() or not raw.isdigit() or len(raw) > 9:
            raise bad_request(f"Invalid input for field 'limit': '{raw[:80]}' is not a number")
        return min(int(raw), LIMIT_MAX)

    def marker(self) -> str | None:
        """Id of the last row of the page before."""
        return self._last.get("marker")


class Page(NamedTuple):
    """Rows of one page, and whether there are more."""

    rows: list[dict[str, Any]]
    truncated: bool


def page_of(rows: Iterable[dict[str, Any]], query: Query, *filters: str, limit_max: int) -> Page:
    """Filter and cut rows that are in order of their ids.

    `filters` are the attributes whose loose filters apply. A marker need not exist any more.
    """
    wanted = query.inexact(*filters)
    limit = query.limit() or limit_max
    marker = query.marker()
    page: list[dict[str, Any]] = []
    for row in rows:
        if marker is not None and row["id"] <= marker:
            continue
        if not all(one.fits(row) for one in wanted):
            continue
        if len(page) == limit:
            return Page(page, truncated=True)
        page.append(row)
    return Page(page, truncated=False)
