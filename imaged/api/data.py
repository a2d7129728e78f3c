"""`/v2/images/{id}/file` and `/stage`: the bytes of an image, in and out."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable
from typing import NamedTuple

from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, conflict, forbidden
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from imaged import images, quota, sight, states
from imaged.api import about
from imaged.api.body import kind
from imaged.content import Contents
from imaged.intake import Intake
from imaged.library import STORE, Library
from imaged.runner import Runner

OCTETS = "application/octet-stream"
RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)")


class Part(NamedTuple):
    """A run of bytes of an image; `whole` when no range was asked for."""

    offset: int
    length: int
    whole: bool


def part_of(size: int, wanted: str | None, content_range: str | None) -> Part:
    """The bytes that a download asks for. Raises Fault 416.

    A `Range` of one run, or, as the API once had it, a `Content-Range` in the request.
    """
    if wanted is None and content_range is None:
        return Part(0, size, whole=True)
    if wanted is not None:
        found = RANGE.fullmatch(wanted.strip())
        if found is None or not (found[1] or found[2]):
            raise unsatisfiable(size)
        first, last = found[1], found[2]
        if not first:
            begin, end = max(0, size - int(last)), size
        else:
            begin, end = int(first), min(size, int(last) + 1 if last else size)
    else:
        found = CONTENT_RANGE.fullmatch((content_range or "").strip())
        if found is None:
            raise unsatisfiable(size)
        begin, end = int(found[1]), int(found[2]) + 1
    if begin >= end or end > size:
        raise unsatisfiable(size)
    return Part(begin, end - begin, whole=False)


def unsatisfiable(size: int) -> Fault:
    """416: there are no such bytes."""
    return Fault(
        416,
        f"Range not satisfiable: the image has {size} bytes.",
        headers=(("Content-Range", f"bytes */{size}"),),
    )


class Data:
    """Uploads and downloads."""

    def __init__(
        self, library: Library, contents: Contents, intake: Intake, runner: Runner
    ) -> None:
        self._library = library
        self._contents = contents
        self._intake = intake
        self._runner = runner

    def routes(self) -> list[Route]:
        """What is served."""
        one = "/v2/images/{image_id}"
        return [
            Route("GET", f"{one}/file", "download_image", self.download),
            Route("PUT", f"{one}/file", "upload_image", self.upload, 204, streams=True),
            Route("PUT", f"{one}/stage", "modify_image", self.stage, 204, streams=True),
        ]

    async def upload(self, call: Call) -> None:
        """Take the bytes and make the image active."""
        store = call.request.header("x-image-meta-store") or STORE
        if store != STORE:
            raise bad_request(f"Store for identifier {store[:80]} not found")
        size = announced(call)
        row = await self._claimed(call, states.UPLOAD, states.SAVING, size)
        await self._intake_of(self._intake.upload(row, aiter(call.request.body), size))

    async def stage(self, call: Call) -> None:
        """Take the bytes and keep them until they are imported."""
        size = announced(call)
        row = await self._claimed(call, states.STAGE, states.UPLOADING, size)
        await self._intake_of(self._intake.stage(row, aiter(call.request.body), size))

    async def _intake_of(self, work: Awaitable[None]) -> None:
        try:
            await work
        finally:
            self._runner.ask()

    async def _claimed(self, call: Call, what: str, status: str, size: int | None) -> Row:
        call.absence_is_open = True
        if kind(call) != OCTETS:
            raise Fault(415, f"Content type must be {OCTETS}")
        library = self._library
        async with library.database.read() as db:
            found = await about.open_image(call, db)
        owner = found.row["owner"]
        limits = await library.limits.of_project(owner) if library.limits and owner else {}
        async with library.database.write() as db:
            found = await about.open_image(call, db)
            if found.row["status"] != states.QUEUED:
                states.check_move(found.row["status"], status)
                raise conflict(f"Image {found.row['id']} has bytes already.")
            if limits:
                await self._check_quota(db, str(owner), limits, what, size or 0)
            _check_described(found.row, what)
            return await self._intake.claim(db, found.row, what, status)

    async def _check_quota(
        self, db: Connection, owner: str, limits: quota.Given, what: str, size: int
    ) -> None:
        used = quota.usage(await images.owned(db, owner))
        quota.check(limits, used, quota.UPLOADING)
        resource = quota.STAGED if what == states.STAGE else quota.SIZE
        quota.check(limits, used, resource, max(1, size // quota.MIB))

    async def download(self, call: Call) -> Answer:
        """The bytes, or a run of them; 204 as long as there are none."""
        async with self._library.database.read() as db:
            found = await about.seen(call, db)
        row = found.row
        deactivated = row["status"] == states.DEACTIVATED
        if deactivated and not sight.is_admin(call.identity):
            raise forbidden(
                "The requested image has been deactivated. Image data download is forbidden."
            )
        about.allow(call, found)
        prefer = call.query.get("prefer")
        if prefer:
            about.allow(call, found, "download_from_store")
            for store in prefer.split(","):
                if store.strip() not in {STORE, ""}:
                    raise bad_request(f"Store '{store.strip()[:80]}' is not configured.")
        if row["status"] not in states.READABLE:
            return Answer(status=204)
        return self._streamed(call, row)

    def _streamed(self, call: Call, row: Row) -> Answer:
        request = call.request
        part = part_of(row["size"], request.header("range"), request.header("content-range"))
        headers = [("Content-Type", OCTETS), ("Accept-Ranges", "bytes")]
        if row["checksum"]:
            headers.append(("Content-MD5", row["checksum"]))
        status = 200
        if not part.whole:
            last = part.offset + part.length - 1
            headers.append(("Content-Range", f"bytes {part.offset}-{last}/{row['size']}"))
            status = 206
        body: AsyncIterator[bytes] = self._contents.read(row["id"], part.offset, part.length)
        return Answer(body, status, tuple(headers), part.length)


def announced(call: Call) -> int | None:
    """Bytes that an upload says it has. Raises Fault 400."""
    text = call.request.header("x-openstack-image-size")
    if text is None:
        return call.request.body.length
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise bad_request("Invalid or missing image size in request headers.")
    length = call.request.body.length
    if length is not None and length != int(text):
        raise bad_request("The announced size is not the length of the body.")
    return int(text)


def _check_described(row: Row, what: str) -> None:
    """An upload needs to know what the bytes are meant to be. Raises Fault 400."""
    if what == states.UPLOAD and not (row["disk_format"] and row["container_format"]):
        raise bad_request(
            "Properties disk_format, container_format must be set prior to saving data."
        )
