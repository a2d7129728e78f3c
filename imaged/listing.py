"""Which images a list shows, in which order, and where its page ends. Pure.

Filters, comparison operators (`in:`, `gt:` …), both syntaxes of sorting, and the rules about visibility are those of the
Image API. Rows come as they are stored; only what the caller may see is to be handed in.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from core.api.fault import bad_request
from core.api.query import Query
from imaged import times
from imaged.attributes import VISIBILITIES

LIMIT_DEFAULT = 25
LIMIT_MAX = 1000
SORT_KEYS: Mapping[str, str] = {
    name: name for name in ("name", "status", "container_format", "disk_format", "size", "id")
} | {"created_at": "created_us", "updated_at": "updated_us"}
MEMBER_STATUSES = ("pending", "accepted", "rejected", "all")
# Filters that are about something else than equality, or take no part in it.
PAGING = frozenset({"limit", "marker", "sort", "sort_key", "sort_dir", "member_status", "tag"})
LISTS = frozenset({"id", "name", "status", "container_format", "disk_format"})
NUMBERS = frozenset({"min_ram", "min_disk", "size", "virtual_size"})
PLAIN = frozenset({"owner", "checksum", "os_hash_algo", "os_hash_value"})
FLAGS = frozenset({"protected", "os_hidden"})
TIMES = {"created_at": "created_us", "updated_at": "updated_us"}
COMPARED: Mapping[str, Callable[[int, int], bool]] = {
    "gt": lambda one, other: one > other,
    "gte": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "lte": lambda one, other: one <= other,
    "eq": lambda one, other: one == other,
    "neq": lambda one, other: one != other,
}

Row = dict[str, Any]
Test = Callable[[Row], bool]


class Order(NamedTuple):
    """A column to sort by."""

    column: str
    descending: bool


class Wanted(NamedTuple):
    """What a list request asks for. `visibility`: None, one of the API's values, or `all`."""

    tests: tuple[Test, ...]
    order: tuple[Order, ...]
    limit: int
    marker: str | None
    visibility: str | None
    member_status: str


def wanted(query: Query) -> Wanted:
    """A request's query, checked. Raises Fault 400."""
    visibility = query.get("visibility")
    if visibility and visibility not in {*VISIBILITIES, "all"}:
        raise bad_request(f"Invalid visibility value: {visibility[:80]}")
    member_status = query.get("member_status") or "accepted"
    if member_status not in MEMBER_STATUSES:
        raise bad_request(f"Invalid status: {member_status[:80]}")
    if "changes-since" in query:
        raise bad_request('The "changes-since" filter is no longer available on v2.')
    tests = [_test(name, value) for name, value in _filters(query).items()]
    tags = [value.strip() for name, value in query.fields if name == "tag"]
    if tags:
        tests.append(lambda row: set(tags) <= set(row["tags"]))
    if "os_hidden" not in query:
        tests.append(lambda row: not row["os_hidden"])
    return Wanted(
        tuple(tests),
        order_of(query, SORT_KEYS),
        limit_of(query),
        query.marker(),
        visibility or None,
        member_status,
    )


def _filters(query: Query) -> dict[str, str]:
    return {
        name: value for name, value in query.fields if name not in PAGING and name != "visibility"
    }


def limit_of(query: Query) -> int:
    """Rows of a page, at most. Raises Fault 400."""
    raw = query.get("limit")
    if raw is None:
        return LIMIT_DEFAULT
    try:
        limit = int(raw)
    except ValueError:
        raise bad_request("limit param must be an integer") from None
    if limit < 0:
        raise bad_request("limit param must be positive")
    return min(limit, LIMIT_MAX)


def order_of(query: Query, keys: Mapping[str, str]) -> tuple[Order, ...]:
    """Columns to sort by: `sort=name:asc,size` or `sort_key=name&sort_dir=asc`. Raises Fault 400."""
    combined = query.get("sort")
    names = [value.strip() for name, value in query.fields if name == "sort_key"]
    directions = [value.strip() for name, value in query.fields if name == "sort_dir"]
    if combined is not None:
        if names or directions:
            raise bad_request("Old and new sorting syntax cannot be combined")
        pairs = [part.partition(":") for part in combined.strip().split(",")]
        names = [name.strip() for name, _, _ in pairs]
        directions = [direction.strip() or "desc" for _, _, direction in pairs]
    names = names or ["created_at"]
    directions = directions or ["desc"]
    if len(directions) == 1:
        directions *= len(names)
    if len(directions) != len(names):
        raise bad_request("Number of sort dirs does not match the number of sort keys")
    for name, direction in zip(names, directions, strict=True):
        if name not in keys:
            raise bad_request(
                f"Invalid sort key: {name[:80]}. It must be one of the following: {', '.join(keys)}."
            )
        if direction not in {"asc", "desc"}:
            raise bad_request(f"Invalid sort direction: {direction[:80]}")
    return tuple(
        Order(keys[name], direction == "desc")
        for name, direction in zip(names, directions, strict=True)
    )


def _test(name: str, value: str) -> Test:
    if name in FLAGS:
        return _flag(name, value)
    if name in NUMBERS:
        number = _number(name, value)
        return lambda row: row[name] == number
    if name in {"size_min", "size_max"}:
        bound = _number(name, value)
        if name == "size_min":
            return lambda row: row["size"] is not None and row["size"] >= bound
        return lambda row: row["size"] is not None and row["size"] <= bound
    if name in TIMES:
        return _moment(TIMES[name], value)
    if name in LISTS and value.startswith("in:"):
        options = _listed(value[3:])
        return lambda row: row[name] in options
    if name in LISTS or name in PLAIN:
        return lambda row: row[name] == value
    return lambda row: row["properties"].get(name) == value


def _flag(name: str, value: str) -> Test:
    if value.lower() not in {"true", "false"}:
        raise bad_request(
            f"Invalid value '{value[:80]}' for '{name}' filter. Valid values are 'true' or 'false'."
        )
    flag = value.lower() == "true"
    return lambda row: row[name] == flag


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise bad_request(f"Unable to filter on a range with a non-numeric value: {name}.")
    return int(value)


def _moment(column: str, value: str) -> Test:
    operator, separator, rest = value.partition(":")
    if not separator or operator not in COMPARED:
        operator, rest = "eq", value
    if operator == "eq" and rest == value and not value[:1].isdigit():
        raise bad_request(f"Unable to filter by unknown operator '{value.partition(':')[0][:80]}'.")
    moment, compare = times.parsed(rest) // times.SECOND_US, COMPARED[operator]
    return lambda row: compare(row[column] // times.SECOND_US, moment)


def _listed(text: str) -> frozenset[str]:
    if text.count('"') % 2:
        raise bad_request(f"Invalid filter value {text[:80]}. The quote is not closed.")
    try:
        (found,) = list(csv.reader([text], strict=True)) or [[]]
    except (csv.Error, ValueError):
        raise bad_request(f"Invalid filter value {text[:80]}.") from None
    return frozenset(found)


def shows(row: Row, request: Wanted, *, project_id: str, admin: bool, status: str | None) -> bool:
    """Whether a list shows an image. `status`: the caller's project's as a member of it, or None."""
    own = bool(project_id) and row["owner"] == project_id
    if not admin and not own:
        shared = row["visibility"] == "shared" and (
            status is not None and request.member_status in {"all", status}
        )
        if not shared and row["visibility"] not in {"public", "community"}:
            return False
    if request.visibility == "all":
        fits = True
    elif request.visibility is not None:
        fits = bool(row["visibility"] == request.visibility)
    else:
        fits = own or row["visibility"] != "community"
    return fits and all(test(row) for test in request.tests)


class Page(NamedTuple):
    """Rows of one page; `next`: the marker of the page after it, or None."""

    rows: list[Row]
    next: str | None


def page(found: Iterable[Row], order: tuple[Order, ...], *, limit: int, marker: str | None) -> Page:
    """Sort and cut. Raises Fault 400 when there is no row with the id `marker`."""
    rows = list(found)
    last = order[-1].descending
    for column, descending in reversed((*order, Order("created_us", last), Order("id", last))):
        rows.sort(
            key=lambda row, column=column: (row[column] is not None, row[column]),  # type: ignore[misc]
            reverse=descending,
        )
    begin = 0
    if marker is not None:
        places = [place for place, row in enumerate(rows) if row["id"] == marker]
        if not places:
            raise bad_request(f"Invalid marker: {marker[:80]} could not be found.")
        begin = places[0] + 1
    cut = rows[begin : begin + limit]
    return Page(cut, cut[-1]["id"] if cut and len(cut) == limit else None)
