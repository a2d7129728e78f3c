"""Tasks in SQL: what was asked for, how it went, and when it is forgotten."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.identity import Identity
from core.rows import Row
from imaged import states
from imaged.tables import task

TABLE = task.task
KEPT_US = 48 * 3600 * 1_000_000
LEGACY, IMAGE_IMPORT, LOCATION = "import", "api_image_import", "location_import"
UNFINISHED = (states.PENDING, states.PROCESSING)


def new_row(
    task_id: str, kind: str, given: Any, *, identity: Identity, now_us: int, request_id: str
) -> Row:
    """A pending task."""
    return {
        "id": task_id,
        "type": kind,
        "status": states.PENDING,
        "owner": identity.project_id,
        "user_id": identity.user_id,
        "request_id": request_id,
        "image_id": None,
        "input": given,
        "result": None,
        "message": "",
        "created_us": now_us,
        "updated_us": now_us,
        "expires_us": None,
        "busy_owner": "",
        "busy_until_us": 0,
    }


async def of_image(db: Connection, image_id: str) -> list[Row]:
    """Tasks of one image, newest first."""
    statement = sa.select(TABLE).where(TABLE.c.image_id == image_id)
    return await rows.rows(db, statement.order_by(TABLE.c.created_us.desc()))


async def visible(db: Connection, project_id: str, *, admin: bool) -> list[Row]:
    """Tasks that a caller sees."""
    statement = sa.select(TABLE)
    if not admin:
        statement = statement.where(TABLE.c.owner == project_id)
    return await rows.rows(db, statement)


async def unfinished(db: Connection) -> list[Row]:
    """What has still to be done, oldest first."""
    statement = sa.select(TABLE).where(TABLE.c.status.in_(UNFINISHED))
    return await rows.rows(db, statement.order_by(TABLE.c.created_us))


async def finish(
    db: Connection, task_id: str, now_us: int, *, result: Any = None, message: str = ""
) -> None:
    """A task ends: well with a result, badly with a message."""
    changes = {
        "status": states.FAILURE if message else states.SUCCESS,
        "result": result,
        "message": message,
        "updated_us": now_us,
        "expires_us": now_us + KEPT_US,
        "busy_owner": "",
        "busy_until_us": 0,
    }
    await rows.update(db, TABLE, task_id, changes)


async def forget_expired(db: Connection, now_us: int) -> int:
    """Remove what has expired; returns how many."""
    return await rows.delete(db, TABLE, TABLE.c.expires_us < now_us)
