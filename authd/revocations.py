"""Revocations in SQL: written in the transaction that makes them necessary, read by those who follow."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.revocation import revocation
from core import rows
from core.database import Connection, Database
from core.revocation import KINDS, Revocation, RevocationList

BATCH = 1000


async def add(db: Connection, kind: str, key: str, until_us: int) -> None:
    """Revoke tokens with this mark that were issued up to `until_us`."""
    assert kind in KINDS
    await rows.insert(db, revocation, {"kind": kind, "key": key, "until_us": until_us})


async def after(db: Connection, number: int) -> list[Revocation]:
    """The events that follow event `number`, oldest first, at most a batch of them."""
    found = await rows.rows(
        db,
        sa.select(revocation)
        .where(revocation.c.number > number)
        .order_by(revocation.c.number)
        .limit(BATCH),
    )
    return [Revocation(**row) for row in found]


async def follow(database: Database, revoked: RevocationList) -> None:
    """Apply the revocations that were written since the last look."""
    while True:
        async with database.read() as db:
            events = await after(db, revoked.last)
        for event in events:
            revoked.add(event)
        if len(events) < BATCH:
            return


async def forget_before(db: Connection, us: int) -> int:
    """Remove events that only concern tokens which have expired by now."""
    return await rows.delete(db, revocation, revocation.c.until_us < us)
