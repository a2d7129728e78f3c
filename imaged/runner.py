"""The reconciler of images: does what is due and leaves no image between two states.

It looks at the rows whenever something was asked for, and every few seconds besides; what to do about a row is
decided in `states.due`. Every piece of work is claimed in SQL first, so that several processes may look at the same rows.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress

import sqlalchemy as sa

from core import rows
from core.errors import Refused, RingstackError
from core.rows import Row
from imaged import images, leases, states, tasks
from imaged.content import Contents
from imaged.conversion import Converter
from imaged.importing import Importer
from imaged.intake import Intake, columns
from imaged.library import Library
from imaged.states import Due

log = logging.getLogger("ringstack.imaged")

EVERY_S = 5.0
AT_ONCE_MAX = 4
KINDS = {
    Due.UNDO: states.UPLOAD,
    Due.REMOVE: states.REMOVE,
    Due.CONVERT: states.CONVERT,
    Due.HASH: states.HASH,
    Due.RELEASE: states.HASH,
}


class Runner:
    """Works through what is due."""

    def __init__(
        self,
        library: Library,
        contents: Contents,
        intake: Intake,
        importer: Importer,
        converter: Converter,
    ) -> None:
        self._library = library
        self._contents = contents
        self._intake = intake
        self._importer = importer
        self._converter = converter
        self._asked = asyncio.Event()
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._resting: dict[str, float] = {}  # what failed, and until when it is left alone

    def ask(self) -> None:
        """Look soon: something was asked for."""
        self._asked.set()

    async def run_for_ever(self) -> None:
        """Look now and then; a failure is logged and tried again."""
        while True:
            self._asked.clear()
            try:
                await self.look()
            except (sa.exc.SQLAlchemyError, RingstackError) as error:
                log.warning("the images could not be looked through: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._asked.wait()

    async def look(self) -> None:
        """Begin what is due, as far as there is room."""
        now_us = self._library.now_us()
        async with self._library.database.read() as db:
            found = await rows.rows(db, sa.select(images.TABLE).where(_interesting()))
            waiting = await tasks.unfinished(db)
        for task in waiting:
            self._begin(task["id"], self._importer.run(task))
        for row in found:
            what = states.due(
                row,
                now_us=now_us,
                node=self._library.node,
                owner=self._library.owner,
                tasks={task["id"] for task in waiting},
            )
            if what is not None:
                self._begin(row["id"], self._do(row, what))
        async with self._library.database.read() as db:
            old = await rows.count(db, tasks.TABLE, tasks.TABLE.c.expires_us < now_us)
        if old:
            async with self._library.database.write() as db:
                await tasks.forget_expired(db, now_us)

    async def settle(self) -> None:
        """Look until nothing is at work (for tests and for a clean end)."""
        await self.look()
        while self._at_work:
            await asyncio.gather(*self._at_work.values())
            await self.look()

    async def stop(self) -> None:
        """Give up what is at work; it is begun again by whoever finds it."""
        for task in self._at_work.values():
            task.cancel()
        await asyncio.gather(*self._at_work.values(), return_exceptions=True)

    def _begin(self, name: str, work: Awaitable[None]) -> None:
        now = asyncio.get_running_loop().time()
        resting = self._resting.get(name, 0.0) > now
        if resting or name in self._at_work or len(self._at_work) >= AT_ONCE_MAX:
            work.close()  # type: ignore[attr-defined]  # a coroutine that nobody will await
            return
        task = asyncio.ensure_future(self._guarded(name, work))
        self._at_work[name] = task
        task.add_done_callback(lambda _: self._ended(name))

    def _ended(self, name: str) -> None:
        del self._at_work[name]
        self._asked.set()

    async def _guarded(self, name: str, work: Awaitable[None]) -> None:
        self._resting.pop(name, None)
        try:
            await work
        except (sa.exc.SQLAlchemyError, RingstackError, OSError) as error:
            log.warning("work on %s failed and will be tried again: %s", name, error)
        except Exception:
            log.exception("work on %s failed and will be tried again", name)
        else:
            return
        self._resting[name] = asyncio.get_running_loop().time() + EVERY_S

    async def _do(self, row: Row, what: Due) -> None:
        claimed = await self._claim(row, KINDS[what])
        if claimed is None:
            return
        async with leases.renewed(self._library, images.TABLE, row["id"]):
            try:
                await self._perform(claimed, what)
            finally:
                await self._release(row["id"])

    async def _perform(self, row: Row, what: Due) -> None:
        if what is Due.UNDO:
            await self._intake.undo(row["id"])
        elif what is Due.REMOVE:
            await self._contents.discard(row["id"])
            async with self._library.database.write() as db:
                await rows.delete(db, images.TABLE, images.TABLE.c.id == row["id"])
        elif what is Due.CONVERT:
            await self._convert(row)
        elif what is Due.HASH:
            stored = await self._contents.digest(row["id"], row["size"])
            await self._write(row["id"], **columns(stored))

    async def _convert(self, row: Row) -> None:
        try:
            virtual_size = await self._converter.convert(row)
        except Refused as error:
            log.warning("image %s has no raw form: %s", row["id"], error.message)
            await self._write(row["id"], boot_form=states.IMPOSSIBLE)
            return
        await self._write(row["id"], boot_form=states.READY, virtual_size=virtual_size)

    async def _claim(self, row: Row, kind: str) -> Row | None:
        table = images.TABLE
        changes = leases.taken(self._library, kind)
        async with self._library.database.write() as db:
            count = await rows.update_where(
                db,
                table,
                changes,
                table.c.id == row["id"],
                table.c.status == row["status"],
                table.c.busy_owner == row["busy_owner"],
                table.c.busy_until_us == row["busy_until_us"],
            )
        return {**row, **changes} if count else None

    async def _write(self, image_id: str, **changes: object) -> None:
        async with self._library.database.write() as db:
            if await leases.held(db, images.TABLE, image_id, self._library.owner):
                await rows.update(db, images.TABLE, image_id, changes)

    async def _release(self, image_id: str) -> None:
        await self._write(image_id, **leases.FREE)


def _interesting() -> sa.ColumnElement[bool]:
    table = images.TABLE
    return (
        (table.c.busy_kind != "")
        | table.c.status.in_((states.DELETED, states.SAVING, states.IMPORTING))
        | table.c.hash_due
        | (table.c.boot_form == states.WANTED)
    )
