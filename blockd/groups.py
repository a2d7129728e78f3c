"""Groups of volumes in SQL, their types, and snapshots of a whole group."""

from __future__ import annotations

import sqlalchemy as sa

from blockd import snapshots, volume_types, volumes
from blockd.fault import absent
from blockd.service import Service
from blockd.tables import group
from core import rows
from core.api.call import Call
from core.api.fault import bad_request, conflict
from core.database import Connection
from core.rows import Row

TABLE = group.group
TYPES = group.group_type
SNAPSHOTS = group.group_snapshot
DEFAULT_TYPE = "default_cgsnapshot_type"


async def ensure_default(db: Connection, service: Service) -> None:
    """The group type that clients may ask for as the default."""
    if await type_named(db, DEFAULT_TYPE) is None:
        row = {
            "id": service.new_id(),
            "name": DEFAULT_TYPE,
            "description": "Groups whose snapshots are one cut",
            "is_public": True,
            "group_specs": {"consistent_group_snapshot_enabled": "<is> True"},
            "created_us": service.now_us(),
            "updated_us": None,
        }
        await rows.insert(db, TYPES, row)


async def type_named(db: Connection, name: str) -> Row | None:
    """A group type by name."""
    return await rows.first(db, sa.select(TYPES).where(TYPES.c.name == name))


async def type_of(db: Connection, call: Call, reference: str) -> Row:
    """A group type by id or name. Raises Fault 404."""
    row = await rows.by_id(db, TYPES, reference) or await type_named(db, reference)
    if row is None or not (row["is_public"] or call.may("context_is_admin")):
        call.absence_is_open = True
        raise absent("Group type", reference[:80])
    return row


async def check_free(db: Connection, name: str, but: str = "") -> None:
    """Raise Fault 409 when another group type has this name."""
    row = await type_named(db, name)
    if row is not None and row["id"] != but:
        raise conflict(f"Group Type {name[:80]} already exists.")


async def type_in_use(db: Connection, type_id: str) -> bool:
    """Whether groups have it."""
    return await rows.count(db, TABLE, TABLE.c.group_type_id == type_id) > 0


async def change(db: Connection, service: Service, group_id: str, **changes: object) -> None:
    """Change columns of a group; the time of the change is kept."""
    await rows.update(db, TABLE, group_id, {**changes, "updated_us": service.now_us()})


async def check_type(db: Connection, row: Row, reference: str) -> None:
    """Raise Fault 400 unless a group takes volumes of a type."""
    kind = await volume_types.find(db, reference)
    if kind is None or kind["id"] not in row["volume_types"]:
        raise bad_request(f"Group {row['id']} does not take volumes of type {reference[:80]}.")


async def volumes_of(db: Connection, group_id: str) -> list[Row]:
    """The volumes in a group, oldest first."""
    table = volumes.TABLE
    statement = sa.select(table).where(table.c.group_id == group_id)
    return await rows.rows(db, statement.order_by(table.c.created_us, table.c.id))


async def snapshots_of(db: Connection, group_snapshot_id: str) -> list[Row]:
    """The snapshots that are one group snapshot."""
    table = snapshots.TABLE
    statement = sa.select(table).where(table.c.group_snapshot_id == group_snapshot_id)
    return await rows.rows(db, statement.order_by(table.c.created_us, table.c.id))


async def has_snapshots(db: Connection, group_id: str) -> bool:
    """Whether a group has snapshots."""
    return await rows.count(db, SNAPSHOTS, SNAPSHOTS.c.group_id == group_id) > 0
