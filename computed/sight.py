"""Who may see a thing: its project and administrators; to everybody else it is not there."""

from __future__ import annotations

from computed import servers
from computed.fault import absent
from core import rows
from core.api.call import Call
from core.api.fault import bad_request
from core.database import Connection
from core.rows import Row


def about(row: Row) -> dict[str, str]:
    """A row as policy rules see it."""
    return {"project_id": row["project_id"], "user_id": row.get("user_id") or ""}


def is_admin(call: Call) -> bool:
    """Whether an administrator asks."""
    return call.may("context_is_admin")


def visible(call: Call, row: Row) -> bool:
    """Whether a caller may know of a row."""
    return row["project_id"] == call.identity.project_id or is_admin(call)


async def row_of(db: Connection, call: Call, name: str | None = None) -> Row:
    """The server of the path (`server_id`) if the caller may see it. Raises Fault 404, which never turns into 403."""
    call.absence_is_open = True
    server_id = name or call.variables["server_id"]
    row = await rows.by_id(db, servers.TABLE, server_id)
    if row is None or row["deleted_us"] or not visible(call, row):
        raise absent("Instance", server_id)
    return row


async def allowed(db: Connection, call: Call) -> Row:
    """The same, and the route's rule is passed for it."""
    row = await row_of(db, call)
    call.allow(of=about(row))
    return row


def own_project(call: Call) -> str:
    """The project that a new thing belongs to. Raises Fault 400 for a token without a project."""
    if not call.identity.project_id:
        raise bad_request("Malformed request url: the token has no project.")
    return call.identity.project_id


def allow_own(call: Call) -> None:
    """Pass the route's rule for the caller's own project."""
    call.allow(of={"project_id": own_project(call), "user_id": call.identity.user_id})
