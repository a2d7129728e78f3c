"""Lists as the Networking API has them: filters, tags, sorting, pages and fields of what is shown. Pure.

Filters compare what is shown: several values of one attribute are alternatives, several attributes are all needed. An empty
value matches what is empty. Names of attributes that a resource does not have are refused (`filter-validation`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from networkd.fault import NetworkFault, malformed
from networkd.values import FALSE, TRUE

View = dict[str, Any]
Fields = Sequence[tuple[str, str]]

PAGING = frozenset({"limit", "marker", "page_reverse", "fields", "sort_key", "sort_dir"})
TAG_FILTERS = ("tags", "tags-any", "not-tags", "not-tags-any")
LIMIT_MAX = 10_000


class Asked(NamedTuple):
    """What a query wants."""

    filters: Mapping[str, list[str]]
    tags: Mapping[str, frozenset[str]]
    fields: frozenset[str]
    sorts: tuple[tuple[str, bool], ...]  # attribute, descending
    limit: int | None
    marker: str | None
    reverse: bool


class Page(NamedTuple):
    """The rows of a page, and whether there may be others on either side."""

    views: list[View]
    more_after: bool
    more_before: bool


def truth(text: str, name: str) -> bool:
    """A flag in a query. Raises Fault 400."""
    read = text.strip().lower()
    if read in TRUE or read in FALSE:
        return read in TRUE
    raise malformed(
        f"Invalid input for {name}. Reason: '{text[:80]}' cannot be converted to boolean."
    )


def asked(fields: Fields, known: Iterable[str]) -> Asked:
    """A query's meaning for a resource with some attributes. Raises Fault 400."""
    names = frozenset(known)
    filters: dict[str, list[str]] = {}
    tags: dict[str, frozenset[str]] = {}
    for name, value in fields:
        if name in PAGING:
            continue
        if name in TAG_FILTERS and "tags" in names:
            tags[name] = tags.get(name, frozenset()) | frozenset(value.split(","))
        elif name in names:
            filters.setdefault(name, []).append(value)
        else:
            raise malformed(f"['{name[:80]}'] is invalid attribute for filtering")
    last = dict(fields)
    return Asked(
        filters,
        tags,
        frozenset(value for name, value in fields if name == "fields" and value),
        _sorts(fields, names),
        _limit(last.get("limit")),
        last.get("marker") or None,
        truth(last.get("page_reverse") or "false", "page_reverse"),
    )


def _limit(raw: str | None) -> int | None:
    if raw is None or raw == "":
        return None
    if not raw.isascii() or not raw.isdigit() or len(raw) > 12:
        raise malformed(
            f"Invalid input for operation: limit must be an integer >= 0, not '{raw[:80]}'"
        )
    return min(int(raw), LIMIT_MAX) or None


def _sorts(fields: Fields, names: frozenset[str]) -> tuple[tuple[str, bool], ...]:
    keys = [value for name, value in fields if name == "sort_key"]
    directions = [value for name, value in fields if name == "sort_dir"]
    if directions and len(keys) != len(directions):
        raise malformed("The number of sort_keys and sort_dirs must be same")
    for key in keys:
        if key not in names:
            raise malformed(f"['{key[:80]}'] is invalid attribute for sort_keys")
    for direction in directions:
        if direction not in {"asc", "desc"}:
            raise malformed(f"['{direction[:80]}'] is invalid value for sort_dirs")
    directions = directions or ["asc"] * len(keys)
    pairs = zip(keys, directions, strict=True)
    return tuple((key, direction == "desc") for key, direction in pairs)


def fits(view: View, wanted: Asked) -> bool:
    """Whether something passes all filters."""
    return all(
        _equal(view.get(name, view.get(f"_{name}")), values, name)
        for name, values in wanted.filters.items()
    ) and _tagged(frozenset(view.get("tags", ())), wanted.tags)


def _equal(value: Any, wanted: list[str], name: str) -> bool:
    if isinstance(value, bool):
        return any(truth(one, name) == value for one in wanted)
    if value is None:
        return any(one in {"", "None"} for one in wanted)
    if name == "fixed_ips":
        return _addressed(value, wanted)
    if isinstance(value, list):
        return any(one in map(str, value) for one in wanted) or ("" in wanted and not value)
    return str(value) in wanted


def _addressed(value: list[dict[str, str]], wanted: list[str]) -> bool:
    """`fixed_ips=ip_address=…`, `subnet_id=…`, `ip_address_substr=…`: one address must pass for each kind."""
    by_kind: dict[str, list[str]] = {}
    for one in wanted:
        kind, _, rest = one.partition("=")
        by_kind.setdefault(kind, []).append(rest)
    for kind, texts in by_kind.items():
        if kind == "ip_address_substr":
            if not any(text in item["ip_address"] for item in value for text in texts):
                return False
        elif kind in {"ip_address", "subnet_id"}:
            if not any(item[kind] in texts for item in value):
                return False
        else:
            raise malformed(f"['{kind[:80]}'] is invalid attribute for filtering")
    return True


def _tagged(tags: frozenset[str], wanted: Mapping[str, frozenset[str]]) -> bool:
    return (
        wanted.get("tags", frozenset()) <= tags
        and ("tags-any" not in wanted or bool(wanted["tags-any"] & tags))
        and ("not-tags" not in wanted or not wanted["not-tags"] <= tags)
        and not wanted.get("not-tags-any", frozenset()) & tags
    )


def _order(value: Any) -> tuple[int, Any]:
    """Values of different kinds beside each other: nothing, then numbers, then texts."""
    if value is None:
        return 0, 0
    if isinstance(value, bool | int):
        return 1, value
    return 2, str(value)


def page(views: Iterable[View], wanted: Asked) -> Page:
    """What of the things that fit is on the page, in order. Raises Fault 404 for a marker that is not there."""
    found = [view for view in views if fits(view, wanted)]
    found.sort(key=lambda view: str(view.get("id", "")))
    for name, descending in reversed(wanted.sorts):
        found.sort(key=lambda view: _order(view.get(name)), reverse=descending)
    if wanted.reverse:
        found.reverse()
    if wanted.marker is not None:
        at = next((n for n, view in enumerate(found) if view.get("id") == wanted.marker), None)
        if at is None:
            raise NetworkFault(
                404, "MarkerNotFound", f"The marker {wanted.marker[:80]} could not be found."
            )
        found = found[at + 1 :]
    short = wanted.limit is not None and len(found) < wanted.limit
    found = found[: wanted.limit]
    if wanted.reverse:
        found.reverse()
    return Page(
        found,
        more_after=wanted.reverse or not short,
        more_before=not wanted.reverse or not short,
    )


def chosen(view: View, fields: frozenset[str]) -> View:
    """Only the attributes asked for; private ones (which begin with `_`) never."""
    return {
        name: value
        for name, value in view.items()
        if not name.startswith("_") and (not fields or name in fields)
    }
