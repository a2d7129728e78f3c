"""Lists as the Block Storage API has them: filters, `sort`, `limit`, `marker`, `offset`, counts and the next link.

The ids of all rows that fit are read in order, then only the rows of the page. A marker is the id of the last
row of the page before; it must be there.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.database import Connection
from core.rows import Row

LIMIT_MAX = 1000
OFFSET_MAX = 2**31 - 1
TRUE = frozenset({"1", "true", "t", "yes", "y", "on"})
FALSE = frozenset({"0", "false", "f", "no", "n", "off"})
LIKE_SINCE = (3, 34)
COUNT_SINCE = (3, 45)
OBJECT_FILTERS = {"metadata": "metadata", "glance_metadata": "image_metadata"}


class Listing(NamedTuple):
    """What may be asked of one kind of list. Maps name the columns behind the API's attributes."""

    table: sa.Table
    filters: Mapping[str, str]
    sorts: Mapping[str, str]


class Page(NamedTuple):
    """Rows of a page, how many fit in all, and whether there are more."""

    rows: list[Row]
    total: int
    more: bool


def truth(text: str, what: str) -> bool:
    """A flag in a query. Raises Fault 400."""
    if text.strip().lower() in TRUE:
        return True
    if text.strip().lower() in FALSE:
        return False
    raise bad_request(f"Invalid value '{text[:80]}' for {what}: it is not a boolean.")


def whole(call: Call, name: str, most: int) -> int | None:
    """A number in a query. Raises Fault 400."""
    raw = call.query.get(name)
    if raw is None:
        return None
    if not raw.isascii() or not raw.isdigit() or len(raw) > 12 or int(raw) > most:
        raise bad_request(f"{name} param must be an integer between 0 and {most}: '{raw[:80]}'")
    return int(raw)


def all_projects(call: Call) -> bool:
    """Whether an administrator asks for everybody's things."""
    asked = call.query.get("all_tenants") or call.query.get("all_projects")
    admin = call.may("context_is_admin")
    return admin and asked is not None and truth(asked or "1", "all_tenants")


def sort_order(call: Call, listing: Listing) -> list[sa.ColumnElement[Any]]:
    """The order asked for; newest first by default. Raises Fault 400."""
    pairs: list[tuple[str, str]] = []
    sort = call.query.get("sort")
    keys = [value for name, value in call.query.fields if name == "sort_key"]
    directions = [value for name, value in call.query.fields if name == "sort_dir"]
    if sort is not None:
        if keys or directions:
            raise bad_request("The sort_key and sort_dir parameters cannot be used with sort.")
        for part in sort.split(","):
            key, _, direction = part.strip().partition(":")
            pairs.append((key.strip(), direction.strip() or "desc"))
    else:
        keys, directions = keys or ["created_at"], directions or ["desc"]
        pairs = [
            (key.strip(), directions[min(at, len(directions) - 1)].strip())
            for at, key in enumerate(keys)
        ]
    order: list[sa.ColumnElement[Any]] = []
    for key, direction in pairs:
        column = listing.table.c.get(listing.sorts.get(key, ""))
        if column is None or direction not in {"asc", "desc"}:
            raise bad_request(f"Invalid sort '{key[:80]}:{direction[:80]}'.")
        order.append(column.asc() if direction == "asc" else column.desc())
    last_ascending = pairs[-1][1] == "asc"
    order.append(listing.table.c.id.asc() if last_ascending else listing.table.c.id.desc())
    return order


def conditions(call: Call, listing: Listing) -> list[sa.ColumnElement[bool]]:
    """The filters among the query's fields that this list knows."""
    found: list[sa.ColumnElement[bool]] = []
    for field, wanted in call.query.fields:
        loose = field.endswith("~")
        name = listing.filters.get(field.removesuffix("~"))
        if name is None:
            continue
        column = listing.table.c[name]
        if loose:
            if call.microversion < LIKE_SINCE:
                raise bad_request("Loose filters begin with version 3.34.")
            found.append(sa.cast(column, sa.Text).contains(wanted, autoescape=True))
        else:
            found.append(_equal(column, wanted, field))
    return found


def _equal(column: sa.Column[Any], wanted: str, field: str) -> sa.ColumnElement[bool]:
    if isinstance(column.type, sa.Boolean):
        return column == truth(wanted, field)
    if isinstance(column.type, sa.BigInteger):
        if not wanted.lstrip("-").isdigit() or len(wanted) > 12:
            return sa.false()
        return column == int(wanted)
    return column == wanted


async def page(
    db: Connection, call: Call, listing: Listing, *where: sa.ColumnElement[bool]
) -> Page:
    """The page that a query asks for, of the rows that fit `where` and the query's filters.

    `metadata` and `glance_metadata` are filters too where the table has such objects.
    """
    limit = whole(call, "limit", OFFSET_MAX)
    limit = LIMIT_MAX if limit is None else min(limit, LIMIT_MAX)
    start = whole(call, "offset", OFFSET_MAX) or 0
    inside = objects_wanted(call, listing)
    statement = (
        sa.select(listing.table.c.id, *(listing.table.c[name] for name in inside))
        .where(*where, *conditions(call, listing))
        .order_by(*sort_order(call, listing))
    )
    ids = [
        str(found[0])
        for found in (await db.execute(statement)).all()
        if all(
            _holds(held, wanted) for held, wanted in zip(found[1:], inside.values(), strict=True)
        )
    ]
    marker = call.query.get("marker")
    if marker is not None:
        if marker not in ids:
            raise await _lost_marker(db, listing, marker)
        start += ids.index(marker) + 1
    chosen = ids[start : start + limit]
    by_id = {
        row["id"]: row
        for row in await rows.rows(
            db, sa.select(listing.table).where(listing.table.c.id.in_(chosen))
        )
    }
    more = 0 < limit == len(chosen)  # as Cinder has it: a full page says that there may be another
    return Page([by_id[name] for name in chosen], len(ids), more)


def objects_wanted(call: Call, listing: Listing) -> dict[str, dict[str, str]]:
    """Columns with objects, and the keys and values that they must hold. Raises Fault 400."""
    found: dict[str, dict[str, str]] = {}
    for field, column in OBJECT_FILTERS.items():
        raw = call.query.get(field)
        if raw is None or column not in listing.table.c:
            continue
        try:
            wanted = ast.literal_eval(raw[:10_000])
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            wanted = None
        if not isinstance(wanted, dict):
            raise bad_request(f"Invalid value for the filter {field}: it is not a dictionary.")
        found[column] = {str(key): str(value) for key, value in wanted.items()}
    return found


def _holds(held: object, wanted: Mapping[str, str]) -> bool:
    return isinstance(held, dict) and all(held.get(key) == value for key, value in wanted.items())


async def _lost_marker(db: Connection, listing: Listing, marker: str) -> Fault:
    """Cinder answers 404 for a marker that is nowhere, 400 for one that this list does not hold."""
    if await rows.by_id(db, listing.table, marker) is None:
        return Fault(404, f"The marker {marker[:80]} could not be found.")
    return bad_request(f"The marker {marker[:80]} is not in this list.")


def answer(
    call: Call,
    name: str,
    found: Page,
    shown: Iterable[dict[str, Any]],
    *,
    counts: bool = True,
    path: str = "",
) -> dict[str, Any]:
    """The body of a list; `name` is that of the collection. `counts`: this list can say how many there are."""
    body: dict[str, Any] = {name: list(shown)}
    if found.more and found.rows and call.query.get("limit") is not None:
        fields = [field for field in call.query.fields if field[0] not in {"marker", "offset"}]
        fields.append(("marker", found.rows[-1]["id"]))
        own = call.base + (path or call.request.path[len(prefix_of(call)) :])
        body[f"{name}_links"] = [{"rel": "next", "href": f"{own}?{urlencode(fields)}"}]
    asked = call.query.get("with_count")
    counted = counts and asked is not None and call.microversion >= COUNT_SINCE
    if counted and truth(asked or "1", "with_count"):
        body["count"] = found.total
    return body


def prefix_of(call: Call) -> str:
    """The part of the request's path that the API's public address holds already."""
    return "/" + call.base.split("://", 1)[-1].partition("/")[2]


def owned(
    call: Call, table: sa.Table, *more: sa.ColumnElement[bool]
) -> Sequence[sa.ColumnElement[bool]]:
    """Conditions for the rows that a caller may list: their project's, or all for an administrator who asks."""
    if all_projects(call):
        wanted = call.query.get("project_id")
        return (*more, table.c.project_id == wanted) if wanted else more
    return (*more, table.c.project_id == call.identity.project_id)
