"""Leases: a process says in SQL that it works on a row, renews that while it does, and gives it back.

A lease that was lost (the image was deleted and removed, or somebody took over after a long silence) is noticed when
its holder wants to write the outcome: `held` is asked in the same transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.rows import Row
from imaged import states
from imaged.library import Library


def taken(library: Library, kind: str) -> dict[str, Any]:
    """Columns of a row that this process begins to work on."""
    return {
        "busy_kind": kind,
        "busy_owner": library.owner,
        "busy_until_us": library.now_us() + states.LEASE_US,
    }


FREE: dict[str, Any] = {"busy_kind": "", "busy_owner": "", "busy_until_us": 0}


async def held(db: Connection, table: sa.Table, row_id: str, owner: str) -> Row | None:
    """The row as it is now, when this process still has it; None when it has been lost."""
    row = await rows.by_id(db, table, row_id)
    return row if row is not None and row["busy_owner"] == owner else None


@contextlib.asynccontextmanager
async def renewed(library: Library, table: sa.Table, row_id: str) -> AsyncIterator[None]:
    """Renew a lease while the block runs."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(states.RENEW_S)
            until_us = library.now_us() + states.LEASE_US
            async with library.database.write() as db:
                await rows.update_where(
                    db,
                    table,
                    {"busy_until_us": until_us},
                    table.c.id == row_id,
                    table.c.busy_owner == library.owner,
                )

    task = asyncio.create_task(renew())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
