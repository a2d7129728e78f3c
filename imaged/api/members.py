"""`/v2/images/{id}/members` and `/v2/images/{id}/tags/{tag}`: with whom an image is shared, and what it is filed under."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request, conflict, forbidden
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from imaged import images
from imaged.api import about, view
from imaged.api.body import json_object
from imaged.attributes import NAME_CHARS_MAX, TAG_COUNT_MAX
from imaged.images import MEMBERS, Seen
from imaged.library import Library

STATUSES = ("pending", "accepted", "rejected")


class Members:
    """Operations on members of images."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._database = library.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/v2/images/{image_id}/members"
        one = top + "/{member_id}"
        return [
            Route("GET", top, "get_members", self.list),
            Route("POST", top, "add_member", self.create),
            Route("GET", one, "get_member", self.show),
            Route("PUT", one, "modify_member", self.update),
            Route("DELETE", one, "delete_member", self.delete, 204),
        ]

    async def _open(self, call: Call, db: Connection) -> Seen:
        found = await about.seen(call, db)
        if found.row["visibility"] != "shared":
            raise forbidden("Only shared images have members.")
        about.allow(call, found)
        return found

    async def list(self, call: Call) -> dict[str, Any]:
        """Members of an image; a member sees itself alone."""
        async with self._database.read() as db:
            found = await self._open(call, db)
            statement = sa.select(MEMBERS).where(MEMBERS.c.image_id == found.row["id"])
            members = await rows.rows(db, statement.order_by(MEMBERS.c.created_us))
        if found.member and found.row["owner"] != call.identity.project_id:
            members = [row for row in members if row["member_id"] == call.identity.project_id]
        shown = [view.member(row) for row in members]
        return {"members": shown, "schema": "/v2/schemas/members"}

    async def create(self, call: Call) -> dict[str, Any]:
        """Share an image with a project."""
        member_id = json_object(call).get("member")
        if not isinstance(member_id, str) or not 0 < len(member_id) <= NAME_CHARS_MAX:
            raise bad_request("Member to be added not specified")
        now_us = self._library.now_us()
        async with self._database.write() as db:
            found = await self._open(call, db)
            image_id = found.row["id"]
            if await images.membership(db, image_id, member_id) is not None:
                raise conflict(f"Member {member_id} is duplicated for image {image_id}")
            count = await rows.count(db, MEMBERS, MEMBERS.c.image_id == image_id)
            if count >= self._library.settings.members_max:
                raise Fault(413, f"Image member limit exceeded for image {image_id}")
            row = {
                "id": self._library.new_id(),
                "image_id": image_id,
                "member_id": member_id,
                "status": "pending",
                "created_us": now_us,
                "updated_us": now_us,
            }
            await rows.insert(db, MEMBERS, row)
        return view.member(row)

    async def _one(self, call: Call, db: Connection) -> Row:
        found = await self._open(call, db)
        member_id = call.variables["member_id"]
        row = await images.membership(db, found.row["id"], member_id)
        hidden = found.member and found.row["owner"] != call.identity.project_id
        if row is None or (hidden and member_id != call.identity.project_id):
            raise Fault(
                404, f"{member_id} not found in the member list of the image {found.row['id']}."
            )
        return row

    async def show(self, call: Call) -> dict[str, Any]:
        """One member."""
        async with self._database.read() as db:
            return view.member(await self._one(call, db))

    async def update(self, call: Call) -> dict[str, Any]:
        """A member says whether it wants the image in its lists."""
        status = json_object(call).get("status")
        if status not in STATUSES:
            raise bad_request(f"Status must be one of {', '.join(STATUSES)}.")
        changes = {"status": status, "updated_us": self._library.now_us()}
        async with self._database.write() as db:
            row = await self._one(call, db)
            await rows.update(db, MEMBERS, row["id"], changes)
        return view.member({**row, **changes})

    async def delete(self, call: Call) -> None:
        """Share it no longer."""
        async with self._database.write() as db:
            row = await self._one(call, db)
            await rows.delete(db, MEMBERS, MEMBERS.c.id == row["id"])


class Tags:
    """Tags of images, one at a time."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._database = library.database

    def routes(self) -> list[Route]:
        """What is served."""
        one = "/v2/images/{image_id}/tags/{tag_value}"
        return [
            Route("PUT", one, "modify_image", self.add, 204),
            Route("DELETE", one, "modify_image", self.remove, 204),
        ]

    async def add(self, call: Call) -> None:
        """Put an image under a tag."""
        tag = call.variables["tag_value"]
        if len(tag) > NAME_CHARS_MAX:
            raise bad_request(f"A tag has at most {NAME_CHARS_MAX} characters.")
        async with self._database.write() as db:
            row = (await about.open_image(call, db)).row
            tags = row["tags"]
            if tag in tags:
                return
            if len(tags) >= TAG_COUNT_MAX:
                raise Fault(413, f"An image has at most {TAG_COUNT_MAX} tags.")
            await images.change(db, row, self._library.now_us(), tags=[*tags, tag])

    async def remove(self, call: Call) -> None:
        """Take a tag off."""
        tag = call.variables["tag_value"]
        async with self._database.write() as db:
            row = (await about.open_image(call, db)).row
            if tag not in row["tags"]:
                raise Fault(404, f"Tag {tag[:80]} was not found.")
            tags = [one for one in row["tags"] if one != tag]
            await images.change(db, row, self._library.now_us(), tags=tags)
