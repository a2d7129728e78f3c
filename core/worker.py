"""Does what was promised with 202: claims rows of work, performs them side by side, retries, gives up at the deadline.

A deed's `perform` does everything outside SQL (again and again if need be: the library's verbs may be repeated) and
returns the change of rows that ends it, which commits together with the removal of the work's row. After a crash the
rows are still there, so another process goes on; nothing stays in an `-ing` status.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa

from core.database import Connection, Database
from core.errors import Refused, RingstackError
from core.rows import Row
from core.work import SECOND_US, Book

log = logging.getLogger("ringstack.worker")

LOOK_EVERY_S = 2.0
RENEW_EVERY_S = 5.0
SIDE_BY_SIDE = 8
PAUSE_S_MAX = 30
TIDY_EVERY_US = 3600 * SECOND_US


class Employer(Protocol):
    """The service that a worker works for."""

    @property
    def database(self) -> Database:
        """Where its work is written."""
        ...

    @property
    def node(self) -> str:
        """The machine's name."""
        ...

    @property
    def woken(self) -> asyncio.Event:
        """Set when there is new self._book."""
        ...

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970 UTC."""
        ...

    def new_id(self) -> str:
        """A fresh UUID."""
        ...

    def wake(self) -> None:
        """There is new self._book."""
        ...


S = TypeVar("S", bound=Employer)
Finish = Callable[[Connection], Awaitable[None]]
Tidy = Callable[[Connection, int], Awaitable[object]]


class Deed(NamedTuple, Generic[S]):
    """One kind of work, and what it leaves behind when it cannot be done."""

    perform: Callable[[S, Row], Awaitable[Finish]]
    give_up: Callable[[S, Connection, Row, str], Awaitable[None]]


def pause_s(attempts: int) -> int:
    """How long to wait before trying again: 1, 2, 4 … seconds."""
    return min(PAUSE_S_MAX, 1 << min(attempts - 1, 10))


class Worker(Generic[S]):
    """One process's share of the self._book. `tidy` forgets what is old, once an hour."""

    def __init__(
        self,
        service: S,
        book: Book,
        deeds: Mapping[str, Deed[S]],
        *,
        tidy: Tidy | None = None,
        side_by_side: int = SIDE_BY_SIDE,
    ) -> None:
        self._service = service
        self._book = book
        self._deeds = deeds
        self._forget = tidy
        self._side_by_side = side_by_side
        self._owner = f"{service.node}/{service.new_id()}"[:64]
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tidied_us = 0

    async def run_for_ever(self) -> None:
        """Take over what an earlier process left, then work until cancelled."""
        async with self._service.database.write() as db:
            await self._book.release_all(db, self._service.node)
        renewing = asyncio.create_task(self._renew_for_ever())
        try:
            while True:
                await self._look()
                await self._tidy()
                await self._sleep()
        finally:
            for task in (renewing, *self._running.values()):
                task.cancel()
            await asyncio.gather(renewing, *self._running.values(), return_exceptions=True)

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(
                LOOK_EVERY_S
            ):  # (`wait_for` of 3.11 may lose a cancellation)
                await self._service.woken.wait()
        except TimeoutError:
            return
        self._service.woken.clear()

    async def _tidy(self) -> None:
        """Forget what is old, now and then."""
        now_us = self._service.now_us()
        if self._forget is None or now_us - self._tidied_us < TIDY_EVERY_US:
            return
        self._tidied_us = now_us
        try:
            async with self._service.database.write() as db:
                await self._forget(db, now_us)
        except sa.exc.SQLAlchemyError as error:
            log.warning("what is old could not be removed: %s", error)

    async def _look(self) -> None:
        free = self._side_by_side - len(self._running)
        if free <= 0 or not await self._anything():
            return
        try:
            async with self._service.database.write() as db:
                claimed = await self._book.claim(db, self._owner, self._service.now_us(), free)
        except sa.exc.SQLAlchemyError as error:
            log.warning("work could not be claimed: %s", error)
            return
        for row in claimed:
            self._running[row["id"]] = asyncio.create_task(self._do(row))

    async def _anything(self) -> bool:
        async with self._service.database.read() as db:
            return await self._book.ready(db, self._service.now_us()) > 0

    async def _renew_for_ever(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            if not self._running:
                continue
            try:
                async with self._service.database.write() as db:
                    held = list(self._running)
                    await self._book.renew(db, self._owner, held, self._service.now_us())
            except sa.exc.SQLAlchemyError as error:
                log.warning("work could not be renewed: %s", error)

    async def _do(self, row: Row) -> None:
        try:
            await self.perform(row)
        except Exception:
            log.exception("%s of %s failed", row["kind"], row["subject_id"])
        finally:
            self._running.pop(row["id"], None)
            self._service.wake()

    async def perform(self, row: Row) -> None:
        """One attempt at one row that this worker holds."""
        deed = self._deeds[row["kind"]]
        try:
            finish = await self._in_time(deed, row)
        except Refused as error:
            await self._give_up(deed, row, error.message)
        except (RingstackError, OSError, TimeoutError) as error:
            await self._again(deed, row, str(error) or "it took too long")
        except Exception as error:
            log.exception("%s of %s", row["kind"], row["subject_id"])
            await self._again(deed, row, f"an unexpected error ({type(error).__name__})")
        else:
            async with self._service.database.write() as db:
                if await self._book.held(db, row["id"], self._owner):
                    await finish(db)
                    await self._book.end(db, row["id"])

    async def _in_time(self, deed: Deed[S], row: Row) -> Finish:
        left_s = (row["deadline_us"] - self._service.now_us()) / SECOND_US
        if left_s <= 0 and row["attempts"] > 1:
            raise TimeoutError
        async with asyncio.timeout(max(left_s, 1.0)):
            return await deed.perform(self._service, row)

    async def _again(self, deed: Deed[S], row: Row, reason: str) -> None:
        now_us = self._service.now_us()
        until_us = now_us + pause_s(row["attempts"]) * SECOND_US
        if until_us >= row["deadline_us"]:
            await self._give_up(deed, row, reason)
            return
        log.info("%s of %s is tried again: %s", row["kind"], row["subject_id"], reason)
        async with self._service.database.write() as db:
            if await self._book.held(db, row["id"], self._owner):
                await self._book.release(db, row["id"], until_us)

    async def _give_up(self, deed: Deed[S], row: Row, reason: str) -> None:
        log.warning("%s of %s is given up: %s", row["kind"], row["subject_id"], reason)
        async with self._service.database.write() as db:
            if await self._book.held(db, row["id"], self._owner):
                await deed.give_up(self._service, db, row, reason)
                await self._book.end(db, row["id"])

    async def settle(self, rounds: int = 200) -> None:
        """Do everything that is ready, until nothing is: for tests, beside or instead of `run_for_ever`."""
        for _ in range(rounds):
            async with self._service.database.write() as db:
                now_us = self._service.now_us()
                claimed = await self._book.claim(db, self._owner, now_us, self._side_by_side)
            if not claimed:
                return
            for row in claimed:
                await self.perform(row)
