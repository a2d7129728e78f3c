"""What every operation on images needs: the image that the caller may know of, and the gate of policy in front of it.

Who may not see an image is told that there is none; who sees it and may not do something is told so.
"""

from __future__ import annotations

from typing import Any

from core.api.call import Call
from core.api.fault import Fault, forbidden
from core.database import Connection
from core.rows import Row
from imaged import images, protection, sight
from imaged.images import Seen
from imaged.library import Library


async def seen(call: Call, db: Connection) -> Seen:
    """The image of the path. Raises Fault 404."""
    call.absence_is_open = True
    return await images.find(db, call.identity, call.variables["image_id"])


def allow(call: Call, found: Seen, rule: str | None = None) -> None:
    """Pass a rule for an image. Raises Fault 403, or 404 for who may not see it."""
    about = sight.target(found.row, call.identity, member=found.member)
    name = rule or call.route.rule
    if not call.may(name, about):
        call.absence_is_open = True
        if name == "get_image" or not call.may("get_image", about):
            raise images.absent(found.row["id"])
        raise forbidden(f"You are not authorized to complete {name} action.")
    call.allow(name, about)


def may(call: Call, found: Seen, rule: str) -> bool:
    """Whether a rule would be passed."""
    return call.may(rule, sight.target(found.row, call.identity, member=found.member))


async def open_image(call: Call, db: Connection, rule: str | None = None) -> Seen:
    """The image of the path, with a rule passed for it. Raises Fault 403 or 404."""
    found = await seen(call, db)
    allow(call, found, rule)
    return found


def may_touch(library: Library, call: Call, verb: str, name: str) -> bool:
    """Whether property protection lets the caller do `verb` with a property."""
    return protection.may(library.settings.property_protection, verb, name, call.identity.roles)


def check_touch(library: Library, call: Call, verb: str, name: str) -> None:
    """The same, or Fault 403."""
    if not may_touch(library, call, verb, name):
        raise forbidden(f"Property '{name}' is protected")


def check_visibility(call: Call, row: Row, visibility: Any, *, member: bool) -> None:
    """Making an image public or open to the community has rules of its own. Raises Fault 403."""
    rule = {"public": "publicize_image", "community": "communitize_image"}.get(visibility)
    about = sight.target({**row, "visibility": visibility}, call.identity, member=member)
    if rule is not None and not call.may(rule, about):
        raise forbidden(f"You are not authorized to complete {rule} action.")


def not_ready(message: str) -> Fault:
    """409: the image's state forbids it."""
    return Fault(409, message)
