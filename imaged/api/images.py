"""`/v2/images`: register, list, look at, change and delete images; take them out of service and back."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, conflict, forbidden
from core.api.route import Route
from core.rows import Row
from imaged import images, listing, quota, sight, states, tasks
from imaged.api import about, view
from imaged.api.body import decoded, json_object, kind
from imaged.attributes import BASE, PROPERTY_COUNT_MAX, TAG_COUNT_MAX, split, unique
from imaged.images import Seen
from imaged.importing import METHODS
from imaged.library import STORE, Library
from imaged.patch import Change, parse
from imaged.runner import Runner


class Images:
    """Operations on images as records."""

    def __init__(self, library: Library, runner: Runner) -> None:
        self._library = library
        self._database = library.database
        self._runner = runner

    def routes(self) -> list[Route]:
        """What is served."""
        top, one = "/v2/images", "/v2/images/{image_id}"
        return [
            Route("GET", top, "get_images", self.list),
            Route("POST", top, "add_image", self.create, 201),
            Route("GET", one, "get_image", self.show),
            Route("PATCH", one, "modify_image", self.update),
            Route("DELETE", one, "delete_image", self.delete, 204),
            Route("GET", f"{one}/tasks", "get_image", self.tasks),
            Route("POST", f"{one}/actions/deactivate", "deactivate", self.deactivate, 204),
            Route("POST", f"{one}/actions/reactivate", "reactivate", self.reactivate, 204),
        ]

    def _shown(self, call: Call, row: Row) -> dict[str, Any]:
        return view.image(row, self._library.settings.property_protection, call.identity.roles)

    async def list(self, call: Call) -> dict[str, Any]:
        """Images that the caller sees, a page at a time."""
        call.allow(None, {"project_id": call.identity.project_id})
        wanted = listing.wanted(call.query)
        async with self._database.read() as db:
            page, shared = await images.listed(db, call.identity, wanted)
        shown = [
            self._shown(call, row)
            for row in page.rows
            if about.may(call, Seen(row, row["id"] in shared), "get_image")
        ]
        fields = [field for field in call.query.fields if field[0] != "marker"]
        body = {"images": shown, "schema": "/v2/schemas/images", "first": _link(fields)}
        if page.next is not None:
            body["next"] = _link([*fields, ("marker", page.next)])
        return body

    async def create(self, call: Call) -> Answer:
        """Register an image; its bytes come later."""
        base, properties = split(json_object(call))
        _check_counts(base.get("tags", []), properties)
        library, identity = self._library, call.identity
        for name in properties:
            about.check_touch(library, call, "create", name)
        owner = base.setdefault("owner", identity.project_id or None)
        base.setdefault("visibility", library.settings.default_visibility)
        image_id = str(base.pop("id", None) or library.new_id()).lower()
        row = images.new_row(image_id, library.now_us(), **base, properties=properties)
        self._allow_creation(call, row)
        limits = await library.limits.of_project(owner) if library.limits and owner else {}
        async with self._database.write() as db:
            if limits:
                used = quota.usage(await images.owned(db, str(owner)))
                quota.check(limits, used, quota.COUNT)
            await images.create(db, row)
        headers = (
            ("Location", f"{call.base}/v2/images/{image_id}"),
            ("OpenStack-image-import-methods", ",".join(METHODS)),
            ("OpenStack-image-store-ids", STORE),
        )
        return Answer(self._shown(call, row), headers=headers)

    def _allow_creation(self, call: Call, row: Row) -> None:
        target = sight.target(row, call.identity, member=False)
        if not call.may("add_image", target):
            if row["owner"] != call.identity.project_id:
                raise forbidden(f"You are not permitted to create images owned by '{row['owner']}'")
            raise forbidden("You are not authorized to complete add_image action.")
        about.check_visibility(call, row, row["visibility"], member=False)
        call.allow("add_image", target)

    async def show(self, call: Call) -> dict[str, Any]:
        """One image."""
        async with self._database.read() as db:
            found = await about.open_image(call, db)
        return self._shown(call, found.row)

    async def update(self, call: Call) -> dict[str, Any]:
        """Change an image by JSON patch."""
        changes = parse(kind(call), decoded(call))
        async with self._database.write() as db:
            found = await about.open_image(call, db)
            row = found.row
            edited = {**row, "properties": {**row["properties"]}}
            for change in changes:
                self._apply(call, edited, change, member=found.member)
            _check_counts(edited["tags"], edited["properties"])
            if edited["visibility"] != row["visibility"]:
                about.check_visibility(call, row, edited["visibility"], member=found.member)
            _check_formats(row, edited)
            different = {name: edited[name] for name in row if edited[name] != row[name]}
            if changes:
                row = await images.change(db, row, self._library.now_us(), **different)
        return self._shown(call, row)

    def _apply(self, call: Call, row: Row, change: Change, *, member: bool) -> None:
        del member
        name, value, properties = change.name, change.value, row["properties"]
        if name == "locations":
            raise forbidden("It's not allowed to set or remove locations of an image this way.")
        if name == "owner" and not sight.is_admin(call.identity):
            raise forbidden("Owner can't be updated by non admin.")
        if name in BASE or name == "tags":
            if change.operation == "remove":
                raise forbidden(f"Property {name} may not be removed.")
            if change.operation == "add" and change.fresh_only:
                raise conflict(f"Property {name} already present.")
            row[name] = unique(value) if name == "tags" else value
            return
        there = name in properties
        if change.operation != "add" and not there:
            raise conflict(f"Property {name} does not exist.")
        if change.operation == "add" and there and change.fresh_only:
            raise conflict(f"Property {name} already present.")
        verb = {"remove": "delete"}.get(change.operation, "update" if there else "create")
        about.check_touch(self._library, call, verb, name)
        if change.operation == "remove":
            del properties[name]
        else:
            properties[name] = value

    async def delete(self, call: Call) -> None:
        """Delete an image; its bytes go once no upload of them is under way."""
        async with self._database.write() as db:
            found = await about.open_image(call, db)
            if found.row["protected"]:
                raise forbidden(f"Image {found.row['id']} is protected and cannot be deleted.")
            for name in found.row["properties"]:
                about.check_touch(self._library, call, "delete", name)
            await images.move(db, found.row, states.DELETED, self._library.now_us())
        self._runner.ask()

    async def tasks(self, call: Call) -> dict[str, Any]:
        """Import tasks of an image."""
        async with self._database.read() as db:
            found = await about.open_image(call, db)
            done = await tasks.of_image(db, found.row["id"])
        return {"tasks": [view.image_task(row) for row in done]}

    async def deactivate(self, call: Call) -> None:
        """Nobody but administrators may download it."""
        await self._switch(call, states.ACTIVE, states.DEACTIVATED)

    async def reactivate(self, call: Call) -> None:
        """Everybody may download it again."""
        await self._switch(call, states.DEACTIVATED, states.ACTIVE)

    async def _switch(self, call: Call, status: str, to: str) -> None:
        async with self._database.write() as db:
            found = await about.open_image(call, db)
            if found.row["status"] == to:
                return
            if found.row["status"] != status:
                raise bad_request(
                    f"Image status transition from {found.row['status']} to {to} is not allowed"
                )
            await images.move(db, found.row, to, self._library.now_us())


def _link(fields: list[tuple[str, str]]) -> str:
    return "/v2/images" + (f"?{urlencode(fields)}" if fields else "")


def _check_counts(tags: list[str], properties: dict[str, str]) -> None:
    if len(tags) > TAG_COUNT_MAX:
        raise Fault(413, f"An image has at most {TAG_COUNT_MAX} tags.")
    if len(properties) > PROPERTY_COUNT_MAX:
        raise Fault(413, f"An image has at most {PROPERTY_COUNT_MAX} properties.")


def _check_formats(row: Row, edited: Row) -> None:
    """What its bytes have been screened as stays. Raises Fault 403."""
    if row["status"] in {states.QUEUED, states.UPLOADING}:
        return
    for name in ("disk_format", "container_format"):
        if edited[name] != row[name]:
            raise forbidden(f"Attribute {name} can be only replaced for a queued image.")
