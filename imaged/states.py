"""States of an image and of a task: which may follow which, and what is due on a row that nobody works on. Pure.

The states are those of the Image API. Work on a row is leased: `busy_kind` says what, `busy_owner` who, `busy_until_us`
how long it may go on without a sign of life. What a dead process left is undone or begun again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Any

from core.api.fault import conflict

QUEUED, SAVING, UPLOADING, IMPORTING = "queued", "saving", "uploading", "importing"
ACTIVE, DEACTIVATED, DELETED = "active", "deactivated", "deleted"
READABLE = frozenset({ACTIVE, DEACTIVATED})

FOLLOWERS: Mapping[str, frozenset[str]] = {
    QUEUED: frozenset({SAVING, UPLOADING, IMPORTING, ACTIVE, DELETED}),
    SAVING: frozenset({ACTIVE, QUEUED, DELETED}),
    UPLOADING: frozenset({IMPORTING, QUEUED, DELETED}),
    IMPORTING: frozenset({ACTIVE, QUEUED, UPLOADING, DELETED}),
    ACTIVE: frozenset({DEACTIVATED, DELETED}),
    DEACTIVATED: frozenset({ACTIVE, DELETED}),
    DELETED: frozenset(),
}

LEASE_US = 60_000_000
RENEW_S = 15.0
UPLOAD, STAGE, IMPORT, CONVERT, HASH, REMOVE = (
    "upload",
    "stage",
    "import",
    "convert",
    "hash",
    "remove",
)
# The form that a volume begins from: none asked for, asked for, there, cannot be made.
NOT_ASKED, WANTED, READY, IMPOSSIBLE = "", "wanted", "ready", "impossible"

PENDING, PROCESSING, SUCCESS, FAILURE = "pending", "processing", "success", "failure"

Row = Mapping[str, Any]


def check_move(status: str, to: str) -> None:
    """Refuse a change of state that the API does not have. Raises Fault 409."""
    if to not in FOLLOWERS[status]:
        raise conflict(f"Image status transition from {status} to {to} is not allowed")


class Due(StrEnum):
    """What is to be done about an image."""

    UNDO = "undo"  # of an upload that died: its bytes go, it may be tried again
    REMOVE = "remove"
    CONVERT = "convert"
    HASH = "hash"
    RELEASE = "release"  # of work that died and left nothing behind


def abandoned(row: Row, *, now_us: int, node: str, owner: str) -> bool:
    """Whether the process that works on a row has died: it gave no sign for too long, or ran here before us."""
    if not row["busy_owner"]:
        return False
    if row["busy_until_us"] < now_us:
        return True
    return bool(row["busy_owner"] != owner and row["busy_owner"].startswith(f"{node}/"))


def due(row: Row, *, now_us: int, node: str, owner: str, tasks: Collection[str] = ()) -> Due | None:
    """What is due on an image; None when somebody is at it or nothing is. `tasks`: those that are not finished."""
    dead = abandoned(row, now_us=now_us, node=node, owner=owner)
    if row["busy_kind"] and not dead:
        return None
    if row["status"] == DELETED:
        return Due.REMOVE
    if row["status"] == SAVING or (row["status"] == UPLOADING and row["busy_kind"] == STAGE):
        return Due.UNDO
    if row["status"] == IMPORTING and row["task_id"] not in tasks:
        return Due.UNDO  # otherwise its task puts it back
    if row["busy_kind"]:
        return Due.RELEASE
    if row["status"] in READABLE and row["hash_due"]:
        return Due.HASH
    if row["status"] in READABLE and row["boot_form"] == WANTED:
        return Due.CONVERT
    return None
