"""What queries of the Placement API ask for, and what providers offer."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import sqlalchemy as sa

from computed.api.shape import UUID
from computed.placement.candidates import Group, Offer
from computed.schedule import Stock
from computed.tables import provider as tables
from core import rows
from core.api.call import Call
from core.api.fault import bad_request
from core.database import Connection
from core.rows import Row

SUFFIX = re.compile(r"(resources|required|member_of|in_tree)([a-zA-Z0-9_-]{0,64})")
AMOUNT_MAX = 2**31 - 1


def json_of(call: Call) -> Any:
    """A body that may be a list. Raises Fault 400."""
    try:
        return msgspec.json.decode(call.raw)
    except msgspec.MsgspecError:
        raise bad_request("Expecting to find valid JSON in the request body.") from None


def resources_of(raw: str) -> dict[str, int]:
    """`VCPU:2,MEMORY_MB:512`. Raises Fault 400."""
    found: dict[str, int] = {}
    for part in raw.split(","):
        name, separator, amount = part.partition(":")
        if not separator or not amount.isdigit() or not 0 < int(amount) <= AMOUNT_MAX or not name:
            raise bad_request(
                f"Badly formed resources parameter. Expected resources query string parameter in form: ?resources=VCPU:2,MEMORY_MB:1024. Got: {raw[:80]}."
            )
        found[name] = int(amount)
    return found


def _required(raw: str) -> tuple[list[frozenset[str]], set[str]]:
    """Traits required (each entry: one of) and forbidden."""
    if raw.startswith("in:"):
        return [frozenset(raw[3:].split(","))], set()
    required: list[frozenset[str]] = []
    forbidden: set[str] = set()
    for name in raw.split(","):
        if not name.strip("!"):
            raise bad_request(f"Invalid query string parameters: required '{raw[:80]}'")
        if name.startswith("!"):
            forbidden.add(name[1:])
        else:
            required.append(frozenset({name}))
    return required, forbidden


def _member_of(raw: str) -> tuple[list[frozenset[str]], set[str]]:
    """Aggregates: one of these, or none of these."""
    negated = raw.startswith("!")
    ids = raw.removeprefix("!").removeprefix("in:").split(",")
    if not all(UUID.fullmatch(one) for one in ids):
        raise bad_request(
            f"Expected 'member_of' parameter to contain valid UUID(s). Got: {raw[:80]}"
        )
    return ([], set(ids)) if negated else ([frozenset(ids)], set())


def groups_of(call: Call, *, numbered: bool = True) -> list[Group]:
    """The groups that a query asks for. Raises Fault 400."""
    held: dict[str, Row] = {}
    for field, value in call.query.fields:
        found = SUFFIX.fullmatch(field)
        if found is None or (found[2] and not numbered):
            continue
        group = held.setdefault(
            found[2],
            {
                "resources": {},
                "required": [],
                "forbidden": set(),
                "of": [],
                "not": set(),
                "tree": "",
            },
        )
        if found[1] == "resources":
            group["resources"] = resources_of(value)
        elif found[1] == "required":
            required, forbidden = _required(value)
            group["required"] += required
            group["forbidden"] |= forbidden
        elif found[1] == "member_of":
            wanted, refused = _member_of(value)
            group["of"] += wanted
            group["not"] |= refused
        else:
            group["tree"] = value if numbered else ""
    return [
        Group(
            suffix,
            one["resources"],
            tuple(one["required"]),
            frozenset(one["forbidden"]),
            tuple(one["of"]),
            frozenset(one["not"]),
            one["tree"],
        )
        for suffix, one in held.items()
    ]


async def offer_of(db: Connection, row: Row) -> Offer:
    """One provider with what it has."""
    return (await offers(db, row["id"]))[0]


async def offers(db: Connection, only: str = "") -> list[Offer]:
    """All providers with what they have."""

    def where(column: sa.Column[Any]) -> list[sa.ColumnElement[bool]]:
        return [column == only] if only else []

    inventory, traits, groups = tables.inventory, tables.provider_trait, tables.provider_aggregate
    held: dict[str, list[Row]] = {}
    for one in await rows.rows(db, sa.select(inventory).where(*where(inventory.c.provider_id))):
        held.setdefault(one["provider_id"], []).append(one)
    able: dict[str, set[str]] = {}
    for one in await rows.rows(db, sa.select(traits).where(*where(traits.c.provider_id))):
        able.setdefault(one["provider_id"], set()).add(one["trait"])
    member: dict[str, set[str]] = {}
    for one in await rows.rows(db, sa.select(groups).where(*where(groups.c.provider_id))):
        member.setdefault(one["provider_id"], set()).add(one["aggregate_id"])
    table = tables.provider
    return [
        Offer(
            row["id"],
            row["root_id"],
            row["parent_id"],
            {
                one["resource_class"]: Stock(
                    one["total"],
                    one["used"],
                    one["reserved"],
                    one["allocation_ratio"],
                    one["max_unit"],
                )
                for one in held.get(row["id"], ())
            },
            {one["resource_class"]: one["min_unit"] for one in held.get(row["id"], ())},
            {one["resource_class"]: one["step_size"] for one in held.get(row["id"], ())},
            frozenset(able.get(row["id"], ())),
            frozenset(member.get(row["id"], ())),
        )
        for row in await rows.rows(db, sa.select(table).where(*where(table.c.id)))
    ]
