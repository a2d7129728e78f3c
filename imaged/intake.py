"""How bytes become an image: claimed, written, screened, frozen, and only then active.

Whatever ends an intake early (a client that goes away, a hostile file, a full disk) leaves the image queued and without
bytes, so that it can be tried again. If this process dies, another one does that when the lease has ended.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from core.api.fault import Fault, conflict
from core.database import Connection
from core.errors import Conflict, NotFound, Refused
from core.rows import Row
from imaged import images, leases, states
from imaged.content import HASH_ALGORITHM, Contents, Stored
from imaged.formats.detect import CONVERTED, bootable, refusal
from imaged.formats.finding import Finding
from imaged.library import Library
from imaged.screening import screen

log = logging.getLogger("ringstack.imaged")

EMPTY: dict[str, Any] = {
    "size": None,
    "virtual_size": None,
    "checksum": None,
    "os_hash_algo": None,
    "os_hash_value": None,
}


def gone(image_id: str) -> Fault:
    """410: the image was deleted while its bytes came."""
    return Fault(
        410,
        f"Image {image_id} could not be found after upload. The image may have been deleted during the upload.",
    )


class Intake:
    """Uploads, staged uploads, and the last steps of an import."""

    def __init__(self, library: Library, contents: Contents) -> None:
        self._library = library
        self._contents = contents

    async def claim(self, db: Connection, row: Row, kind: str, status: str) -> Row:
        """Begin: the image is this process's own from now on. Raises Fault 409."""
        if row["busy_kind"]:
            raise conflict("Another operation on the image is in progress")
        return await images.move(
            db, row, status, self._library.now_us(), **leases.taken(self._library, kind)
        )

    async def upload(self, row: Row, chunks: AsyncIterator[bytes], size_hint: int | None) -> None:
        """Take the bytes of a claimed image and make it active. Raises Fault 400, 410, 413, 415."""
        async with self._undone(row["id"]), self._lease(row["id"]):
            stored = await self._take(row["id"], chunks, size_hint)
            finding = await self._screened(row, stored.size, frozen=False)
            await self._contents.freeze(row["id"])
            await self.activate(row["id"], stored, finding.virtual_size)

    async def stage(self, row: Row, chunks: AsyncIterator[bytes], size_hint: int | None) -> None:
        """Take the bytes of a claimed image and keep them until they are imported. Raises as `upload`."""
        async with self._undone(row["id"]), self._lease(row["id"]):
            stored = await self._take(row["id"], chunks, size_hint)
            await self._write(row["id"], states.UPLOADING, **columns(stored), **leases.FREE)

    async def fill(self, row: Row, chunks: AsyncIterator[bytes], size_hint: int | None) -> Stored:
        """Take bytes from the web for an image that is being imported."""
        return await self._take(row["id"], chunks, size_hint)

    async def complete(self, row: Row, stored: Stored) -> None:
        """Screen and freeze what is there, and make the image active. Raises Fault 415, 410."""
        finding = await self._screened(row, stored.size, frozen=False)
        await self._contents.freeze(row["id"])
        how = bootable(row["disk_format"], row["container_format"])
        asked = {"boot_form": states.WANTED} if how in CONVERTED else {}
        await self.activate(row["id"], stored, finding.virtual_size, failed_import="", **asked)

    async def activate(
        self, image_id: str, stored: Stored, virtual_size: int | None, **changes: Any
    ) -> None:
        """The last step. Raises Fault 410 when the image was deleted meanwhile."""
        given = {"virtual_size": virtual_size, "task_id": None, **changes}
        await self._write(image_id, states.ACTIVE, **columns(stored), **given, **leases.FREE)

    async def undo(self, image_id: str, status: str = states.QUEUED) -> None:
        """Back to the beginning: the bytes go, the image may be tried again."""
        await self._contents.discard(image_id)
        async with self._library.database.write() as db:
            row = await leases.held(db, images.TABLE, image_id, self._library.owner)
            if row is None:
                return
            changes = (
                leases.FREE
                if row["status"] == states.DELETED
                else {"status": status, **EMPTY, **leases.FREE}
            )
            await images.change(db, row, self._library.now_us(), **changes)

    def _lease(self, image_id: str) -> Any:
        return leases.renewed(self._library, images.TABLE, image_id)

    def _undone(self, image_id: str) -> _Undone:
        return _Undone(self, image_id)

    async def _take(
        self, image_id: str, chunks: AsyncIterator[bytes], size_hint: int | None
    ) -> Stored:
        try:
            stored = await self._contents.store(
                image_id,
                chunks,
                size_hint=size_hint or 0,
                size_max=self._library.settings.image_bytes_max,
            )
        except Conflict as error:  # an image of this id was deleted, and volumes live on its bytes
            raise conflict(error.message) from None
        except Refused as error:
            if error.code == "TooLarge":
                raise Fault(413, f"The incoming image is too large: {error.message}") from None
            raise
        if size_hint is not None and stored.size != size_hint:
            raise Fault(400, f"{size_hint} bytes were announced and {stored.size} came")
        return stored

    async def _screened(self, row: Row, size: int, *, frozen: bool) -> Finding:
        disk = await self._contents.view(row["id"], frozen=frozen)
        try:
            finding = await screen(disk, size)
        finally:
            await disk.close()
        reason = refusal(row["disk_format"], row["container_format"], finding)
        if reason is not None:
            log.warning("the bytes of image %s are refused: %s", row["id"], reason)
            raise Fault(415, reason)
        return finding

    async def _write(self, image_id: str, status: str, **changes: Any) -> None:
        async with self._library.database.write() as db:
            row = await leases.held(db, images.TABLE, image_id, self._library.owner)
            if row is None or row["status"] == states.DELETED:
                raise gone(image_id)
            if status != row["status"]:
                states.check_move(row["status"], status)
            await images.change(db, row, self._library.now_us(), status=status, **changes)


class _Undone:
    """Undoes an intake that does not end well; cancelling it counts."""

    def __init__(self, intake: Intake, image_id: str) -> None:
        self._intake = intake
        self._image_id = image_id

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            try:
                await self._intake.undo(self._image_id)
            except NotFound:
                return


def columns(stored: Stored) -> dict[str, Any]:
    """What is known of an image's bytes, as the table has it."""
    return {
        "size": stored.size,
        "checksum": stored.checksum,
        "os_hash_algo": HASH_ALGORITHM,
        "os_hash_value": stored.hash_value,
        "hash_due": False,
    }


def stored_of(row: Row) -> Stored:
    """The same, read back."""
    return Stored(row["size"], row["checksum"], row["os_hash_value"])
