"""Metadata definitions in SQL: namespaces and what is defined in them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core import rows
from core.api.fault import Fault, conflict
from core.database import Connection
from core.rows import Row
from imaged.tables import metadef

NAMESPACES = metadef.namespace
DEFINITIONS = metadef.definition
ASSOCIATIONS = metadef.association
OBJECT, PROPERTY, TAG = "object", "property", "tag"
# Resource types that exist without anybody having said so, as Heat names them.
RESOURCE_TYPES = (
    "OS::Cinder::Volume",
    "OS::Glance::Image",
    "OS::Nova::Aggregate",
    "OS::Nova::Flavor",
    "OS::Nova::Server",
    "OS::Trove::Instance",
)


async def namespace(db: Connection, name: str) -> Row:
    """A namespace. Raises Fault 404."""
    row = await rows.first(db, sa.select(NAMESPACES).where(NAMESPACES.c.namespace == name))
    if row is None:
        raise no_namespace(name)
    return row


def no_namespace(name: str) -> Fault:
    """404, in the API's words."""
    return Fault(404, f"Namespace {name} not found")


async def namespaces(db: Connection) -> list[Row]:
    """All namespaces."""
    return await rows.rows(db, sa.select(NAMESPACES))


async def create_namespace(db: Connection, row: Row) -> None:
    """Add a namespace. Raises Fault 409."""
    statement = sa.select(NAMESPACES).where(NAMESPACES.c.namespace == row["namespace"])
    if await rows.first(db, statement) is not None:
        raise conflict(f"The metadata definition namespace={row['namespace']} already exists.")
    await rows.insert(db, NAMESPACES, row)


async def update_namespace(db: Connection, old: Row, changes: Row) -> None:
    """Change a namespace. Raises Fault 409 when its new name is taken."""
    name = changes["namespace"]
    if name != old["namespace"]:
        statement = sa.select(NAMESPACES).where(NAMESPACES.c.namespace == name)
        if await rows.first(db, statement) is not None:
            raise conflict(f"The metadata definition namespace={name} already exists.")
    await rows.update(db, NAMESPACES, old["id"], changes)


async def defined(db: Connection, namespace_id: str, kind: str) -> list[Row]:
    """What is defined in a namespace of one kind, by age."""
    statement = sa.select(DEFINITIONS).where(
        DEFINITIONS.c.namespace_id == namespace_id, DEFINITIONS.c.kind == kind
    )
    return await rows.rows(db, statement.order_by(DEFINITIONS.c.created_us, DEFINITIONS.c.name))


async def _named(db: Connection, namespace_id: str, kind: str, name: str) -> Row | None:
    statement = sa.select(DEFINITIONS).where(
        DEFINITIONS.c.namespace_id == namespace_id,
        DEFINITIONS.c.kind == kind,
        DEFINITIONS.c.name == name,
    )
    return await rows.first(db, statement)


async def definition(db: Connection, within: Row, kind: str, name: str) -> Row:
    """One definition. Raises Fault 404."""
    row = await _named(db, within["id"], kind, name)
    if row is None:
        raise Fault(
            404,
            f"The metadata definition {kind} with name={name} was not found in namespace={within['namespace']}.",
        )
    return row


def new_definition(row_id: str, within: Row, kind: str, body: Row, now_us: int) -> Row:
    """A row for a definition."""
    return {
        "id": row_id,
        "namespace_id": within["id"],
        "kind": kind,
        "name": body["name"],
        "body": {key: value for key, value in body.items() if key != "name"},
        "created_us": now_us,
        "updated_us": now_us,
    }


async def define(db: Connection, within: Row, row: Row) -> None:
    """Add a definition. Raises Fault 409."""
    if await _named(db, within["id"], row["kind"], row["name"]) is not None:
        raise taken(within, row["kind"], row["name"])
    await rows.insert(db, DEFINITIONS, row)


def taken(within: Row, kind: str, name: str) -> Fault:
    """409: it is defined already."""
    return conflict(
        f"A metadata definition {kind} with name={name} already exists in namespace={within['namespace']}."
    )


async def redefine(db: Connection, within: Row, old: Row, body: Row, now_us: int) -> Row:
    """Replace a definition, perhaps under another name. Raises Fault 409."""
    name = body["name"]
    if name != old["name"] and await _named(db, within["id"], old["kind"], name) is not None:
        raise taken(within, old["kind"], name)
    changes = {
        "name": name,
        "body": {key: value for key, value in body.items() if key != "name"},
        "updated_us": now_us,
    }
    await rows.update(db, DEFINITIONS, old["id"], changes)
    return {**old, **changes}


async def undefine(db: Connection, *conditions: sa.ColumnElement[bool]) -> int:
    """Remove definitions; returns how many."""
    return await rows.delete(db, DEFINITIONS, *conditions)


async def undefine_all(db: Connection, namespace_id: str, kind: str) -> int:
    """Remove all definitions of a kind from a namespace."""
    return await undefine(
        db, DEFINITIONS.c.namespace_id == namespace_id, DEFINITIONS.c.kind == kind
    )


async def associations(db: Connection, namespace_id: str) -> list[Row]:
    """What a namespace applies to."""
    statement = sa.select(ASSOCIATIONS).where(ASSOCIATIONS.c.namespace_id == namespace_id)
    return await rows.rows(db, statement.order_by(ASSOCIATIONS.c.name))


async def associate(db: Connection, within: Row, row: Row) -> None:
    """Let a namespace apply to a resource type. Raises Fault 409."""
    for other in await associations(db, within["id"]):
        if other["name"] == row["name"]:
            raise conflict(
                f"The metadata definition resource-type association of resource-type={row['name']} to"
                f" namespace={within['namespace']} already exists."
            )
    await rows.insert(db, ASSOCIATIONS, row)


def new_association(row_id: str, within: Row, body: dict[str, Any], now_us: int) -> Row:
    """A row for an association."""
    return {
        "id": row_id,
        "namespace_id": within["id"],
        "name": body["name"],
        "prefix": body.get("prefix"),
        "properties_target": body.get("properties_target"),
        "created_us": now_us,
        "updated_us": now_us,
    }


async def dissociate(db: Connection, namespace_id: str, name: str) -> int:
    """Let it apply no longer; returns how many went."""
    return await rows.delete(
        db,
        ASSOCIATIONS,
        ASSOCIATIONS.c.namespace_id == namespace_id,
        ASSOCIATIONS.c.name == name,
    )


async def resource_types(db: Connection) -> list[str]:
    """Names of resource types that are known."""
    statement = sa.select(ASSOCIATIONS.c.name).distinct()
    named = {row["name"] for row in await rows.rows(db, statement)}
    return sorted({*RESOURCE_TYPES, *named})
