"""Who may see a thing: its project and administrators; to everybody else it is not there."""

from __future__ import annotations

import re

import sqlalchemy as sa

from blockd.fault import absent
from core import rows
from core.api.call import Call
from core.api.fault import Fault
from core.database import Connection
from core.rows import Row

PROJECT = re.compile(r"[A-Za-z0-9_-]{1,64}")


def about(row: Row) -> dict[str, str]:
    """A row as policy rules see it."""
    return {"project_id": row["project_id"], "user_id": row.get("user_id") or ""}


async def row_of(db: Connection, call: Call, table: sa.Table, name: str, what: str) -> Row:
    """A row that the caller may see. Raises Fault 404; a 404 of ours never turns into 403."""
    call.absence_is_open = True
    row = await rows.by_id(db, table, name)
    if row is None or not visible(call, row):
        raise absent(what, name[:80])
    return row


async def allowed(db: Connection, call: Call, table: sa.Table, name: str, what: str) -> Row:
    """The same, and the route's rule is passed for it."""
    row = await row_of(db, call, table, name, what)
    call.allow(of=about(row))
    return row


def visible(call: Call, row: Row) -> bool:
    """Whether a caller may know of a row."""
    return row["project_id"] == call.identity.project_id or call.may("context_is_admin")


def named_project(call: Call) -> str:
    """The project that a path is about (`target_id`). Raises Fault 400 for what is no id."""
    found = call.variables["target_id"]
    if not PROJECT.fullmatch(found):
        raise Fault(400, f"'{found[:80]}' is not the id of a project.")
    return found


def own_project(call: Call) -> str:
    """The project that a new thing belongs to. Raises Fault 400 for a token without a project."""
    if not call.identity.project_id:
        raise Fault(400, "Malformed request url: the token has no project.")
    return call.identity.project_id
