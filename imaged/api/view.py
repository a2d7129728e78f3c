"""An image, a member and a task as the API shows them."""

from __future__ import annotations

from typing import Any

from core.rows import Row
from imaged import states, times
from imaged.library import STORE
from imaged.protection import PropertyRule, may

PLAIN = (
    "name",
    "disk_format",
    "container_format",
    "visibility",
    "status",
    "protected",
    "min_ram",
    "min_disk",
    "owner",
    "os_hidden",
    "id",
    "tags",
)
# Known before the image is active, and nobody's business until then.
CONTENT = ("size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value")


def image(row: Row, rules: tuple[PropertyRule, ...], roles: tuple[str, ...]) -> dict[str, Any]:
    """An image; properties that its reader must not read are left out."""
    shown = {
        name: value for name, value in row["properties"].items() if may(rules, "read", name, roles)
    }
    if row["task_id"] is not None:
        shown["os_glance_import_task"] = row["task_id"]
    if row["failed_import"] is not None:  # there has been an import
        shown["os_glance_importing_to_stores"] = "" if row["task_id"] is None else STORE
        shown["os_glance_failed_import"] = row["failed_import"]
    shown |= {name: row[name] for name in PLAIN}
    whole = row["status"] in states.READABLE
    shown |= {name: row[name] if whole or name == "size" else None for name in CONTENT}
    own = f"/v2/images/{row['id']}"
    shown |= {
        "created_at": times.shown(row["created_us"]),
        "updated_at": times.shown(row["updated_us"]),
        "self": own,
        "file": f"{own}/file",
        "schema": "/v2/schemas/image",
    }
    if whole:
        shown["stores"] = STORE
    return shown


def member(row: Row) -> dict[str, Any]:
    """A member of an image."""
    return {
        "member_id": row["member_id"],
        "image_id": row["image_id"],
        "status": row["status"],
        "created_at": times.shown(row["created_us"]),
        "updated_at": times.shown(row["updated_us"]),
        "schema": "/v2/schemas/member",
    }


def task_stub(row: Row) -> dict[str, Any]:
    """A task in a list."""
    shown = {
        "id": row["id"],
        "type": row["type"],
        "status": row["status"],
        "owner": row["owner"],
        "created_at": times.shown(row["created_us"]),
        "updated_at": times.shown(row["updated_us"]),
        "self": f"/v2/tasks/{row['id']}",
        "schema": "/v2/schemas/task",
    }
    if row["expires_us"] is not None:
        shown["expires_at"] = times.shown(row["expires_us"])
    return shown


def task(row: Row) -> dict[str, Any]:
    """A task by itself."""
    shown = task_stub(row) | {name: row[name] for name in ("input", "result", "message")}
    named = {name: row[name] for name in ("image_id", "request_id", "user_id") if row[name]}
    return shown | named


def image_task(row: Row) -> dict[str, Any]:
    """A task among those of an image."""
    shown = task(row)
    shown.pop("self"), shown.pop("schema")
    return {
        **shown,
        "image_id": row["image_id"],
        "request_id": row["request_id"],
        "user_id": row["user_id"],
        "expires_at": shown.get("expires_at"),
        "deleted": False,
        "deleted_at": None,
    }
