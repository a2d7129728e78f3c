"""Attachments that were begun and never completed are given up."""

from __future__ import annotations

from blockd import attachments
from blockd.deeds.deed import Deed, Finish
from blockd.service import Service
from core import rows
from core.database import Connection
from core.rows import Row


async def expire(service: Service, work: Row) -> Finish:
    """Close the way and forget it."""
    async with service.database.read() as db:
        row = await rows.by_id(db, attachments.TABLE, work["subject_id"])
    if row is not None and row["status"] != "attached":
        await service.exports.close(row["id"])

    async def finish(db: Connection) -> None:
        now = await rows.by_id(db, attachments.TABLE, work["subject_id"])
        if now is not None and now["status"] != "attached":
            await attachments.remove(db, service, now)

    return finish


async def leave(service: Service, db: Connection, work: Row, reason: str) -> None:
    """Nothing to undo."""
    del service, db, work, reason


DEEDS = {"attachment.expire": Deed(expire, leave)}
