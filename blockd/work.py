"""Work that outlives its request, as rows; see tables/work.py. All functions run inside the caller's transaction."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from blockd.service import Service
from blockd.tables import work
from core import rows
from core.api.call import Call
from core.database import Connection
from core.errors import Unavailable
from core.rows import Row

TABLE = work.work
LEASE_US = 20_000_000
SECOND_US = 1_000_000
FOLLOW_S = 3600


async def add(
    db: Connection,
    service: Service,
    call: Call,
    kind: str,
    subject_id: str,
    *,
    deadline_s: int = 600,
    delay_s: int = 0,
    **parameters: Any,
) -> None:
    """Promise to end what begins in this transaction; `delay_s` is when somebody looks first."""
    now_us = service.now_us()
    await rows.insert(
        db,
        TABLE,
        {
            "id": service.new_id(),
            "kind": kind,
            "subject_id": subject_id,
            "project_id": call.identity.project_id,
            "user_id": call.identity.user_id,
            "request_id": str(call.request.context.get("id", "")),
            "parameters": parameters,
            "attempts": 0,
            "owner": None,
            "lease_us": now_us + delay_s * SECOND_US,
            "created_us": now_us,
            "deadline_us": now_us + (delay_s + deadline_s) * SECOND_US,
        },
    )


async def follow(db: Connection, service: Service, before: Row, kind: str, subject_id: str) -> None:
    """Promise something more, for whom another row was, in the transaction that ends that."""
    now_us = service.now_us()
    row = {
        **before,
        "id": service.new_id(),
        "kind": kind,
        "subject_id": subject_id,
        "parameters": {},
        "attempts": 0,
        "owner": None,
        "lease_us": now_us,
        "created_us": now_us,
        "deadline_us": now_us + FOLLOW_S * SECOND_US,
    }
    await rows.insert(db, TABLE, row)


async def claim(db: Connection, owner: str, now_us: int, most: int) -> list[Row]:
    """Take rows that nobody holds (or whose holder has gone silent)."""
    free = sa.select(TABLE).where(TABLE.c.lease_us <= now_us).order_by(TABLE.c.created_us)
    found = await rows.rows(db, free.limit(most))
    for row in found:
        row["attempts"] += 1
        taken = {"owner": owner, "lease_us": now_us + LEASE_US, "attempts": row["attempts"]}
        await rows.update(db, TABLE, row["id"], taken)
    return found


async def renew(db: Connection, owner: str, work_ids: list[str], now_us: int) -> None:
    """Say that these are still being worked on."""
    await rows.update_where(
        db,
        TABLE,
        {"lease_us": now_us + LEASE_US},
        TABLE.c.owner == owner,
        TABLE.c.id.in_(work_ids),
    )


async def release(db: Connection, work_id: str, until_us: int) -> None:
    """Let it be tried again from a time on."""
    await rows.update(db, TABLE, work_id, {"owner": None, "lease_us": until_us})


async def release_all(db: Connection, node: str) -> None:
    """What an earlier process of this node held is free at once."""
    await rows.update_where(
        db, TABLE, {"owner": None, "lease_us": 0}, TABLE.c.owner.startswith(f"{node}/")
    )


async def held(db: Connection, work_id: str, owner: str) -> bool:
    """Whether a row is still there and still this owner's."""
    row = await rows.by_id(db, TABLE, work_id)
    return row is not None and row["owner"] == owner


async def end(db: Connection, work_id: str) -> None:
    """It is done or given up."""
    await rows.delete(db, TABLE, TABLE.c.id == work_id)


async def end_for(db: Connection, subject_id: str, *kinds: str) -> None:
    """What was to happen with something need not happen any more."""
    await rows.delete(db, TABLE, TABLE.c.subject_id == subject_id, TABLE.c.kind.in_(kinds))


async def stop(service: Service, subject_id: str, *kinds: str) -> None:
    """End these kinds of work on something before it is removed. Raises Unavailable while somebody is just at it.

    Otherwise what is being made could be left over after it was removed.
    """
    async with service.database.write() as db:
        same = (TABLE.c.subject_id == subject_id, TABLE.c.kind.in_(kinds))
        await rows.delete(db, TABLE, *same, TABLE.c.owner.is_(None))
        if await rows.count(db, TABLE, *same):
            raise Unavailable("Busy", "it is still being made")


async def ready(db: Connection, now_us: int) -> int:
    """How many rows somebody could take."""
    return await rows.count(db, TABLE, TABLE.c.lease_us <= now_us)


async def pending(db: Connection) -> int:
    """How many rows there are."""
    return await rows.count(db, TABLE)
