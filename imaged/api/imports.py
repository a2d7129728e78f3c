"""`/v2/images/{id}/import`, `/v2/images/{id}/locations` and `/v2/stores/{store}/{id}`: other ways for bytes to come and go.

An image by location copies nothing: a frozen volume of this cloud becomes the image's by a clone. Only services may name
one, because the URL would otherwise be a way to read any volume.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

from core import rows
from core.api.app import uuid_text
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, conflict, forbidden
from core.api.route import Route
from core.errors import NotFound, Refused
from core.rows import Row
from imaged import images, leases, quota, states, tasks
from imaged.addresses import check_literal, place
from imaged.api import about
from imaged.api.body import json_object
from imaged.content import HASH_ALGORITHM, SCHEME, Contents, location, raw_volume
from imaged.conversion import INSTALL, installed
from imaged.formats.detect import CONVERTED, bootable
from imaged.images import Seen
from imaged.importing import COPY, DIRECT, METHODS, WEB
from imaged.library import STORE, Library
from imaged.runner import Runner

OURS = re.compile(r"ringstack://([A-Za-z0-9_-]{1,64})/([A-Za-z0-9_-]{1,64})")
HEX = re.compile(r"[0-9a-f]{128}")
LOOK_EVERY_S = 0.2
WAIT = {DIRECT: states.UPLOADING, WEB: states.QUEUED, COPY: states.ACTIVE}


class Imports:
    """Imports and locations."""

    def __init__(self, library: Library, contents: Contents, runner: Runner) -> None:
        self._library = library
        self._database = library.database
        self._contents = contents
        self._runner = runner

    def routes(self) -> list[Route]:
        """What is served."""
        one = "/v2/images/{image_id}"
        return [
            Route("POST", f"{one}/import", "modify_image", self.start, 202),
            Route("GET", f"{one}/locations", "fetch_image_location", self.locations),
            Route("POST", f"{one}/locations", "add_image_location", self.add_location, 202),
            Route("POST", f"{one}/actions/boot-form", "prepare_boot_form", self.boot_form, 202),
            Route(
                "DELETE", "/v2/stores/{store_id}/{image_id}", "delete_image_location", self.leave
            ),
        ]

    async def start(self, call: Call) -> Answer:
        """Begin an import; the image's tasks say how it goes."""
        call.absence_is_open = True
        body = json_object(call)
        method, url = _method(body)
        async with self._database.read() as db:
            found = await about.seen(call, db)
        _check_start(found.row, method)
        about.allow(call, found, "copy_image" if method == COPY else None)
        _check_stores(body, method)
        if method == COPY:
            async with self._database.write() as db:
                await rows.update(db, images.TABLE, found.row["id"], {"failed_import": ""})
            return Answer(b"", headers=(("Content-Type", "text/html; charset=UTF-8"),))
        if method == WEB:
            self._check_url(url)
        await self._queue(call, found, body)
        self._runner.ask()
        return Answer(b"", headers=(("Content-Type", "text/html; charset=UTF-8"),))

    def _check_url(self, url: str) -> None:
        settings = self._library.settings
        try:
            check_literal(place(url), settings.networks(), settings.download_ports)
        except Refused as error:
            raise bad_request(
                f"URI for web-download does not pass filtering: {url[:500]} ({error.message})"
            ) from None

    async def _queue(self, call: Call, found: Seen, body: dict[str, Any]) -> None:
        library, owner = self._library, found.row["owner"]
        limits = await library.limits.of_project(owner) if library.limits and owner else {}
        task = self._task(call, tasks.IMAGE_IMPORT, found.row["id"], body)
        async with self._database.write() as db:
            row = await images.get(db, found.row["id"])
            if row is None:
                raise images.absent(found.row["id"])
            _check_start(row, body["method"]["name"])
            if limits:
                used = quota.usage(await images.owned(db, str(owner)))
                quota.check(limits, used, quota.SIZE)
            await rows.insert(db, tasks.TABLE, task)
            changes = {"task_id": task["id"], "failed_import": ""}
            await images.change(db, row, library.now_us(), **changes)

    def _task(self, call: Call, kind: str, image_id: str, body: dict[str, Any]) -> Row:
        given = {"image_id": image_id, "import_req": body, "backend": [STORE]}
        return {
            **tasks.new_row(
                uuid_text(self._library.env),
                kind,
                given,
                identity=call.identity,
                now_us=self._library.now_us(),
                request_id=str(call.request.context.get("id", "")),
            ),
            "image_id": image_id,
        }

    async def locations(self, call: Call) -> list[dict[str, Any]]:
        """Where the bytes are: the image itself and, last, the form that a volume begins from.

        Asking makes that form and waits for it. Raises Fault 409 when there can be none.
        """
        async with self._database.read() as db:
            found = await about.open_image(call, db)
        row = await self._with_boot_form(found.row)
        if row["status"] == states.ACTIVE and form_of(row) == states.IMPOSSIBLE:
            raise conflict(_why_not(row))
        return locations_of(row)

    async def _with_boot_form(self, row: Row) -> Row:
        if row["status"] != states.ACTIVE or form_of(row, again=True) != states.WANTED:
            return row
        async with self._database.write() as db:
            await rows.update(db, images.TABLE, row["id"], {"boot_form": states.WANTED})
        now: Row | None = {**row, "boot_form": states.WANTED}
        while now is not None and now["boot_form"] == states.WANTED:
            self._runner.ask()
            await asyncio.sleep(LOOK_EVERY_S)
            async with self._database.read() as db:
                now = await images.get(db, row["id"])
        if now is None:
            raise images.absent(row["id"])
        return now

    async def add_location(self, call: Call) -> Answer:
        """Make an image of a frozen volume; nothing is copied, its hash follows."""
        call.absence_is_open = True
        body = json_object(call)
        source, snapshot = _ours(call, body)
        validation = _validation(body)
        async with self._database.write() as db:
            found = await about.open_image(call, db)
            row = found.row
            if row["status"] != states.QUEUED or row["busy_kind"] or row["task_id"]:
                raise conflict("Only images with status queued can be given a location.")
            if row["container_format"] != "bare" or row["disk_format"] != "raw":
                raise bad_request("A volume makes a bare, raw image.")
            row = await images.change(
                db,
                row,
                self._library.now_us(),
                status=states.IMPORTING,
                **leases.taken(self._library, states.IMPORT),
            )
        size = await self._adopt(row["id"], source, snapshot)
        task = self._task(call, tasks.LOCATION, row["id"], {"loc_url": body["url"]})
        now_us = self._library.now_us()
        async with self._database.write() as db:
            now = await rows.by_id(db, images.TABLE, row["id"])
            if now is not None and now["status"] == states.IMPORTING:
                row = now
                await images.move(
                    db,
                    row,
                    states.ACTIVE,
                    now_us,
                    size=size,
                    virtual_size=size,
                    os_hash_algo=HASH_ALGORITHM,
                    os_hash_value=validation,
                    hash_due=validation is None,
                    **leases.FREE,
                )
                await rows.insert(db, tasks.TABLE, task)
                await tasks.finish(db, task["id"], now_us, result={"image_id": row["id"]})
            elif now is not None:  # deleted meanwhile: what has been adopted goes with it
                await rows.update(db, images.TABLE, row["id"], leases.FREE)
        if now is None:
            await self._contents.discard(row["id"])
        if now is None or now["status"] != states.IMPORTING:
            raise images.absent(row["id"])
        self._runner.ask()
        return Answer(b"", headers=(("Content-Type", "text/html; charset=UTF-8"),))

    async def _adopt(self, image_id: str, source: str, snapshot: str) -> int:
        try:
            await self._contents.discard(image_id)
            return await self._contents.adopt(image_id, source, snapshot)
        except NotFound:
            await self._back(image_id)
            raise bad_request("There is no such frozen volume.") from None
        except BaseException:
            await self._back(image_id)
            raise

    async def _back(self, image_id: str) -> None:
        async with self._database.write() as db:
            row = await leases.held(db, images.TABLE, image_id, self._library.owner)
            if row is not None and row["status"] == states.IMPORTING:
                changes = {"status": states.QUEUED, **leases.FREE}
                await images.change(db, row, self._library.now_us(), **changes)

    async def boot_form(self, call: Call) -> dict[str, Any]:
        """Ask for the form that a volume begins from; `ready`, `wanted` or `impossible`, with its locations."""
        async with self._database.write() as db:
            found = await about.open_image(call, db)
            row = found.row
            if row["status"] != states.ACTIVE:
                raise conflict("The image is not active.")
            state = form_of(row, again=True)
            if state == states.WANTED:
                await rows.update(db, images.TABLE, row["id"], {"boot_form": state})
        if state == states.WANTED:
            self._runner.ask()
        return {"boot_form": state, "locations": locations_of({**row, "boot_form": state})}

    async def leave(self, call: Call) -> None:
        """Take an image out of a store: it is in one only, and must be in one."""
        async with self._database.read() as db:
            found = await about.open_image(call, db)
        if call.variables["store_id"] != STORE:
            raise conflict("The selected store is not available on this node.")
        if found.row["status"] not in states.READABLE:
            raise Fault(404, f"Image {found.row['id']} is not stored in the store '{STORE}'.")
        raise forbidden(
            f"Image {found.row['id']} is in the store '{STORE}' alone and cannot be taken out of it."
        )


def form_of(row: Row, *, again: bool = False) -> str:
    """Whether there is a form that a volume begins from; `again`: what could not be made is tried once more."""
    how = bootable(row["disk_format"], row["container_format"])
    if how is None:
        return states.IMPOSSIBLE
    if how == "raw":
        return states.READY
    tried = row["boot_form"] == states.READY or (
        row["boot_form"] == states.IMPOSSIBLE and not again
    )
    return str(row["boot_form"]) if tried else states.WANTED


def locations_of(row: Row) -> list[dict[str, Any]]:
    """Frozen volumes of an active image; `form` says what their bytes are. One that is out of service has none."""
    if row["status"] != states.ACTIVE:
        return []
    form = row["disk_format"] or "raw"
    image_id, size = row["id"], row["size"]
    metadata = {"store": STORE, "form": form, "size": size}
    found = [{"url": location(image_id, image_id), "metadata": metadata}]
    if bootable(row["disk_format"], row["container_format"]) == "raw":
        metadata["form"] = "raw"
    elif row["boot_form"] == states.READY:
        raw = {"store": STORE, "form": "raw", "size": row["virtual_size"]}
        found.append({"url": location(raw_volume(image_id), image_id), "metadata": raw})
    return found


def _why_not(row: Row) -> str:
    if bootable(row["disk_format"], row["container_format"]) in CONVERTED and not installed():
        return INSTALL
    return "The image has no form that a volume could begin from."


def _method(body: dict[str, Any]) -> tuple[str, str]:
    method = body.get("method")
    if not isinstance(method, dict):
        raise bad_request("Import request requires a 'method' field.")
    if not isinstance(method.get("name"), str):
        raise bad_request("Import request requires a 'name' field.")
    if method["name"] not in METHODS:
        raise bad_request(f"Unknown import method name '{method['name'][:80]}'.")
    for name in ("all_stores_must_succeed", "all_stores"):
        if not isinstance(body.get(name, True), bool):
            raise bad_request(f"'{name}' must be boolean value only")
    url = method.get("uri", "")
    if not isinstance(url, str):
        raise bad_request("'uri' must be a string")
    return method["name"], url


def _check_start(row: Row, method: str) -> None:
    status = row["status"]
    if status == states.ACTIVE and method != COPY:
        raise conflict("Image with status active cannot be target for import")
    if status != WAIT[method]:
        raise conflict(
            f"Image needs to be in '{WAIT[method]}' state to use '{method}' method, and is in '{status}'"
        )
    for name in ("container_format", "disk_format"):
        if not row[name]:
            raise conflict(f"'{name}' needs to be set before import")
    if row["task_id"] is not None:
        raise conflict("Image has active task")
    if row["busy_kind"] and method != COPY:
        raise conflict("Another operation on the image is in progress")


def _check_stores(body: dict[str, Any], method: str) -> None:
    stores = body.get("stores")
    if body.get("all_stores"):
        if stores is not None:
            raise bad_request("All_stores parameter can't be used with stores")
        return
    if stores is not None:
        known = isinstance(stores, list) and all(store == STORE for store in stores)
        if not known:
            raise conflict("A store that was asked for is not available on this node.")
    if method == COPY:
        raise bad_request(f"Image is already present at store '{STORE}'")


def _ours(call: Call, body: dict[str, Any]) -> tuple[str, str]:
    url = body.get("url")
    if not isinstance(url, str):
        raise bad_request("'url' is a required property")
    found = OURS.fullmatch(url)
    if found is None:
        scheme = urlsplit(url).scheme if url.isprintable() and "[" not in url else ""
        raise bad_request(
            f"Locations of the scheme '{scheme[:20]}' are not stored here; only {SCHEME} is."
        )
    if not {"service", "admin"} & {*call.identity.roles}:
        raise forbidden("Only services may name a volume as a location.")
    return found[1], found[2]


def _validation(body: dict[str, Any]) -> str | None:
    given = body.get("validation_data")
    if given is None or given == {}:
        return None
    if not isinstance(given, dict) or set(given) != {"os_hash_algo", "os_hash_value"}:
        raise bad_request("validation_data holds os_hash_algo and os_hash_value")
    value = given["os_hash_value"]
    if given["os_hash_algo"] != HASH_ALGORITHM or not isinstance(value, str):
        raise bad_request(f"The hash algorithm is {HASH_ALGORITHM} here.")
    if HEX.fullmatch(value.lower()) is None:
        raise bad_request("os_hash_value is no SHA-512 in hexadecimal.")
    return value.lower()
