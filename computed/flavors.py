"""Flavors in SQL."""

from __future__ import annotations

import sqlalchemy as sa

from computed.service import Service
from computed.tables import flavor as tables
from core import rows
from core.api.fault import Fault
from core.database import Connection
from core.rows import Row

TABLE = tables.flavor
ACCESS = tables.flavor_access


def new_row(service: Service, flavor_id: str, name: str, **columns: object) -> Row:
    """A flavor; `columns` say what is not as usual."""
    return {
        "id": flavor_id,
        "name": name,
        "ephemeral_gb": 0,
        "swap_mb": 0,
        "rxtx_factor": 1.0,
        "public": True,
        "disabled": False,
        "description": None,
        "extra_specs": {},
        "created_us": service.now_us(),
        **columns,
    }


async def get(db: Connection, flavor_id: str) -> Row:
    """A flavor. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, flavor_id)
    if row is None:
        raise Fault(404, f"Flavor {flavor_id[:80]} could not be found.")
    return row


async def may_use(db: Connection, row: Row, project_id: str) -> bool:
    """Whether a project may build servers of a flavor."""
    if row["public"]:
        return True
    same = (ACCESS.c.flavor_id == row["id"], ACCESS.c.project_id == project_id)
    return await rows.count(db, ACCESS, *same) > 0


def visible_to(project_id: str) -> sa.ColumnElement[bool]:
    """The flavors that a project may use."""
    own = sa.select(ACCESS.c.flavor_id).where(ACCESS.c.project_id == project_id)
    return sa.or_(TABLE.c.public, TABLE.c.id.in_(own))


def frozen(row: Row) -> Row:
    """A flavor as a server keeps it, whatever becomes of the flavor. Pure."""
    names = ("id", "name", "ram_mb", "vcpus", "disk_gb", "ephemeral_gb", "swap_mb", "extra_specs")
    return {name: row[name] for name in names} | {"rxtx_factor": row["rxtx_factor"]}
