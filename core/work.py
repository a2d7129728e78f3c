"""Work that outlives its request, as rows of one table of each service.

What was promised with 202 is a row with a deadline, and an owner while somebody is at it. A row is written in the
transaction that puts its subject into an `-ing` status and removed in the one that ends that status, so that nothing
stays in one without somebody who will end it. All functions run inside the caller's transaction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from core import rows
from core.columns import id_column, number_column, object_column, text_column, time_column
from core.database import Connection
from core.rows import Row

LEASE_US = 20_000_000
SECOND_US = 1_000_000
FOLLOW_S = 3600


def work_table(name: str, metadata: sa.MetaData) -> sa.Table:
    """A service's table of work."""
    return sa.Table(
        name,
        metadata,
        id_column(),
        text_column("kind"),
        text_column("subject_id", index=True),
        text_column("project_id"),
        text_column("user_id"),
        text_column("request_id"),
        object_column("parameters"),
        number_column("attempts"),
        text_column("owner", nullable=True),
        time_column("lease_us"),
        time_column("created_us"),
        time_column("deadline_us"),
    )


class Asker(NamedTuple):
    """For whom something is done."""

    project_id: str
    user_id: str
    request_id: str = ""


class Promise(NamedTuple):
    """Something to be done by a deadline; `delay_s` is when somebody looks first."""

    id: str
    kind: str
    subject_id: str
    asker: Asker
    now_us: int
    deadline_s: int = 600
    delay_s: int = 0
    parameters: Row | None = None


class Book:
    """The rows of one service's work."""

    def __init__(self, table: sa.Table) -> None:
        self.table = table

    async def add(self, db: Connection, promise: Promise) -> None:
        """Promise to end what begins in this transaction."""
        first_us = promise.now_us + promise.delay_s * SECOND_US
        row: dict[str, Any] = {
            "id": promise.id,
            "kind": promise.kind,
            "subject_id": promise.subject_id,
            **promise.asker._asdict(),
            "parameters": promise.parameters or {},
            "attempts": 0,
            "owner": None,
            "lease_us": first_us,
            "created_us": promise.now_us,
            "deadline_us": first_us + promise.deadline_s * SECOND_US,
        }
        await rows.insert(db, self.table, row)

    async def claim(self, db: Connection, owner: str, now_us: int, most: int) -> list[Row]:
        """Take rows that nobody holds (or whose holder has gone silent)."""
        table = self.table
        free = sa.select(table).where(table.c.lease_us <= now_us).order_by(table.c.created_us)
        found = await rows.rows(db, free.limit(most))
        for row in found:
            row["attempts"] += 1
            taken = {"owner": owner, "lease_us": now_us + LEASE_US, "attempts": row["attempts"]}
            await rows.update(db, table, row["id"], taken)
        return found

    async def renew(self, db: Connection, owner: str, work_ids: list[str], now_us: int) -> None:
        """Say that these are still being worked on."""
        same = (self.table.c.owner == owner, self.table.c.id.in_(work_ids))
        await rows.update_where(db, self.table, {"lease_us": now_us + LEASE_US}, *same)

    async def release(self, db: Connection, work_id: str, until_us: int) -> None:
        """Let it be tried again from a time on."""
        await rows.update(db, self.table, work_id, {"owner": None, "lease_us": until_us})

    async def release_all(self, db: Connection, node: str) -> None:
        """What an earlier process of this node held is free at once."""
        mine = self.table.c.owner.startswith(f"{node}/")
        await rows.update_where(db, self.table, {"owner": None, "lease_us": 0}, mine)

    async def held(self, db: Connection, work_id: str, owner: str) -> bool:
        """Whether a row is still there and still this owner's."""
        row = await rows.by_id(db, self.table, work_id)
        return row is not None and row["owner"] == owner

    async def end(self, db: Connection, work_id: str) -> None:
        """It is done or given up."""
        await rows.delete(db, self.table, self.table.c.id == work_id)

    async def end_for(self, db: Connection, subject_id: str, *kinds: str) -> None:
        """What was to happen with something need not happen any more."""
        same = (self.table.c.subject_id == subject_id, self.table.c.kind.in_(kinds))
        await rows.delete(db, self.table, *same)

    async def ready(self, db: Connection, now_us: int) -> int:
        """How many rows somebody could take."""
        return await rows.count(db, self.table, self.table.c.lease_us <= now_us)

    async def pending(self, db: Connection) -> int:
        """How many rows there are."""
        return await rows.count(db, self.table)
