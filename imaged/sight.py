"""Who sees an image, and what a policy rule is told about it. Pure.

As the Image API has it: public and community images are everybody's to see, shared ones their members', private ones
their owner's; an administrator sees all.
"""

from __future__ import annotations

from typing import Any

from core.identity import Identity

Row = dict[str, Any]


def is_admin(identity: Identity) -> bool:
    """Whether a caller sees everything."""
    return "admin" in identity.roles


def visible(row: Row, identity: Identity, *, member: bool) -> bool:
    """Whether a caller may know of an image; `member`: it is shared with the caller's project."""
    if is_admin(identity) or row["owner"] is None:
        return True
    if row["visibility"] in {"public", "community"}:
        return True
    if identity.project_id and row["owner"] == identity.project_id:
        return True
    return member and row["visibility"] == "shared"


def target(row: Row, identity: Identity, *, member: bool) -> Row:
    """An image as policy rules name it. Its properties are left out: a client could name one `project_id`."""
    return {
        **{name: value for name, value in row.items() if isinstance(value, str | int | None)},
        "project_id": row["owner"],
        "owner": row["owner"],
        "member_id": identity.project_id if member and identity.project_id else None,
        "image_id": row["id"],
    }
