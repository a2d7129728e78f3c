"""Block storage's work that outlives its request; see core/work.py. All functions run inside the caller's transaction."""

from __future__ import annotations

from typing import Any

from blockd.service import Service
from blockd.tables import work
from core import rows
from core.api.call import Call
from core.database import Connection
from core.errors import Unavailable
from core.rows import Row
from core.work import FOLLOW_S, Asker, Book, Promise

TABLE = work.work
BOOK = Book(TABLE)
claim, release, end_for, pending = BOOK.claim, BOOK.release, BOOK.end_for, BOOK.pending


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
    request_id = str(call.request.context.get("id", ""))
    asker = Asker(call.identity.project_id, call.identity.user_id, request_id)
    now_us = service.now_us()
    promise = Promise(
        service.new_id(), kind, subject_id, asker, now_us, deadline_s, delay_s, parameters
    )
    await BOOK.add(db, promise)


async def follow(db: Connection, service: Service, before: Row, kind: str, subject_id: str) -> None:
    """Promise something more, for whom another row was, in the transaction that ends that."""
    asker = Asker(before["project_id"], before["user_id"], before["request_id"])
    await BOOK.add(
        db, Promise(service.new_id(), kind, subject_id, asker, service.now_us(), FOLLOW_S)
    )


async def stop(service: Service, subject_id: str, *kinds: str) -> None:
    """End these kinds of work on something before it is removed. Raises Unavailable while somebody is just at it.

    Otherwise what is being made could be left over after it was removed.
    """
    async with service.database.write() as db:
        same = (TABLE.c.subject_id == subject_id, TABLE.c.kind.in_(kinds))
        await rows.delete(db, TABLE, *same, TABLE.c.owner.is_(None))
        if await rows.count(db, TABLE, *same):
            raise Unavailable("Busy", "it is still being made")
