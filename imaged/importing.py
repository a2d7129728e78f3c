"""Import tasks: what has been staged, or what a URL gives, becomes an active image.

A task is a row, so it is done by whichever process finds it first and survives them all: one that was begun by a process that died
fails, with its image back where another import can begin.
"""

from __future__ import annotations

import logging
from typing import Any

from core import rows
from core.errors import RingstackError
from core.rows import Row
from imaged import images, leases, states, tasks
from imaged.attributes import split
from imaged.content import Contents
from imaged.download import Fetcher
from imaged.intake import Intake, stored_of
from imaged.library import STORE, Library

log = logging.getLogger("ringstack.imaged")

DIRECT, WEB, COPY = "glance-direct", "web-download", "copy-image"
METHODS = (DIRECT, WEB, COPY)
DIED = "the process that worked on it has died"


class Importer:
    """Does import tasks."""

    def __init__(
        self, library: Library, contents: Contents, intake: Intake, fetcher: Fetcher
    ) -> None:
        self._library = library
        self._contents = contents
        self._intake = intake
        self._fetcher = fetcher

    async def run(self, task: Row) -> None:
        """Do a task, or fail it. Nothing is done when somebody else has it."""
        mine = await self._claim(task)
        if mine is None:
            return
        try:
            async with leases.renewed(self._library, tasks.TABLE, mine["id"]):
                image_id = await self._perform(mine)
        except RingstackError as error:
            await self._fail(mine, error.message)
            return
        async with self._library.database.write() as db:
            result = {"image_id": image_id}
            await tasks.finish(db, mine["id"], self._library.now_us(), result=result)

    async def _claim(self, task: Row) -> Row | None:
        now_us = self._library.now_us()
        async with self._library.database.write() as db:
            row = await rows.by_id(db, tasks.TABLE, task["id"])
            if row is None or row["status"] not in tasks.UNFINISHED:
                return None
            dead = states.abandoned(
                row, now_us=now_us, node=self._library.node, owner=self._library.owner
            )
            if row["busy_owner"] and not dead:
                return None
            changes: Row = {
                "status": states.PROCESSING,
                "busy_owner": self._library.owner,
                "busy_until_us": now_us + states.LEASE_US,
                "updated_us": now_us,
            }
            await rows.update(db, tasks.TABLE, row["id"], changes)
        if dead or row["status"] == states.PROCESSING:
            await self._fail(row, DIED)
            return None
        return {**row, **changes}

    async def _perform(self, task: Row) -> str:
        if task["type"] == tasks.LEGACY:
            image = await self._new_image(task)
            url, method = str(task["input"]["import_from"]), WEB
        else:
            method = task["input"]["import_req"]["method"]["name"]
            url = str(task["input"]["import_req"]["method"].get("uri", ""))
            image = await self._begin(task["image_id"])
        async with leases.renewed(self._library, images.TABLE, image["id"]):
            if method == WEB:
                async with self._fetcher.open(url) as download:
                    stored = await self._intake.fill(image, download.chunks, download.length)
            else:
                stored = stored_of(image)
            await self._intake.complete(image, stored)
        return str(image["id"])

    async def _begin(self, image_id: str) -> Row:
        async with self._library.database.write() as db:
            row = await images.get(db, image_id)
            if row is None:
                raise images.absent(image_id)
            return await self._intake.claim(db, row, states.IMPORT, states.IMPORTING)

    async def _new_image(self, task: Row) -> Row:
        base, properties = split(dict(task["input"]["image_properties"]))
        image_id = str(base.pop("id", self._library.new_id()))
        base.setdefault("disk_format", task["input"]["import_from_format"])
        base.setdefault("container_format", "bare")
        base.setdefault("owner", task["owner"])
        row = images.new_row(
            image_id, self._library.now_us(), **base, properties=properties, task_id=task["id"]
        )
        async with self._library.database.write() as db:
            await images.create(db, row)
            await rows.update(db, tasks.TABLE, task["id"], {"image_id": image_id})
        return await self._begin(image_id)

    async def _fail(self, task: Row, message: str) -> None:
        log.warning("import task %s failed: %s", task["id"], message)
        now_us = self._library.now_us()
        async with self._library.database.read() as db:
            row = await rows.by_id(db, tasks.TABLE, task["id"])
        if row is not None and row["image_id"] is not None:
            await self._put_back(row["image_id"])
        async with self._library.database.write() as db:
            await tasks.finish(db, task["id"], now_us, message=message)

    async def _put_back(self, image_id: str) -> None:
        """Staged bytes stay for another attempt; bytes from the web go."""
        async with self._library.database.read() as db:
            row = await images.get(db, image_id)
        if row is None or row["status"] not in {
            states.IMPORTING,
            states.QUEUED,
            states.UPLOADING,
        }:
            return
        keeps = row["size"] is not None and row["status"] != states.QUEUED
        if not keeps:
            await self._contents.discard(image_id)
        changes: dict[str, Any] = {"task_id": None, "failed_import": STORE, **leases.FREE}
        changes["status"] = states.UPLOADING if keeps else states.QUEUED
        async with self._library.database.write() as db:
            await images.change(db, row, self._library.now_us(), **changes)
