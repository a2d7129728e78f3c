"""Moves of servers between sizes and hosts, as records: what the API calls migrations."""

from __future__ import annotations

import sqlalchemy as sa

from computed import hosts
from computed.service import Service
from computed.tables import host as tables
from core import rows
from core.api.call import Call
from core.database import Connection
from core.rows import Row

TABLE = tables.migration


async def add(
    db: Connection, service: Service, call: Call, server: Row, name: str, columns: Row
) -> None:
    """Record that a move begins; `columns` say kind, target and flavors."""
    now_us = service.now_us()
    row = {
        "id": name,
        "number": await hosts.next_number(db, TABLE),
        "server_id": server["id"],
        "project_id": call.identity.project_id,
        "user_id": call.identity.user_id,
        "status": "pre-migrating",
        "source": server["host"],
        "created_us": now_us,
        "updated_us": now_us,
        **columns,
    }
    await rows.insert(db, TABLE, row)


async def change(db: Connection, service: Service, name: str, status: str) -> None:
    """How far it is."""
    await rows.update(db, TABLE, name, {"status": status, "updated_us": service.now_us()})


async def finished_of(db: Connection, server_id: str) -> Row | None:
    """The move of a server that waits to be confirmed or reverted."""
    same = (TABLE.c.server_id == server_id, TABLE.c.status == "finished")
    return await rows.first(db, sa.select(TABLE).where(*same).order_by(TABLE.c.number.desc()))
