"""The end of a log: entries on their way, a few at a time, committed in order.

Promises: an entry counts as committed when it and every entry before it are in the store under this branch. A name that
is taken by somebody else's END means that a later attachment has closed the branch: everything waiting is then fenced,
for good. Trouble of the store is waited out; whoever waits for an entry meanwhile is told after a while.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from core.errors import Full, NotFound, PreconditionFailed, RingstackError, Unavailable
from volume.branch import Row, entry_name
from volume.entry import END, Entry
from volume.objects import Objects
from volume.port import Fenced
from volume.recovery import Recovery

RETRY_S = 0.05
RETRY_MAX_S = 2.0
DATA_MARK = "data"


class Cargo(Protocol):
    """What wants to become an entry."""

    def load(self, branch: str, sequence: int) -> tuple[Entry, bytes]:
        """The entry and the whole object, once its number is known."""
        ...


class Ticket:
    """A place in the queue; `wait` returns when its entry is committed."""

    def __init__(self, cargo: Cargo) -> None:
        self.cargo = cargo
        self.entry: Entry | None = None
        self.stored = False
        self.done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.done.add_done_callback(_looked_at)


def _looked_at(done: asyncio.Future[int]) -> None:
    """Nobody has to wait for an entry."""
    if not done.cancelled():
        done.exception()


class Log:
    """Appends to one branch. `committed` is called for every entry, in order."""

    def __init__(
        self,
        objects: Objects,
        recovery: Recovery,
        row: Row,
        *,
        window: int,
        committed: Callable[[Ticket], None],
        failed: Callable[[RingstackError], None],
        broken: frozenset[str] = frozenset(),
    ) -> None:
        self._objects = objects
        self._recovery = recovery
        self._row = row
        self._next = row.first
        self._window = window
        self._committed = committed
        self._failed = failed
        self._broken = broken
        self._queue: deque[Ticket] = deque()
        self._flying: deque[Ticket] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._room: list[asyncio.Future[None]] = []
        self.paused = False
        self.failure: RingstackError | None = None
        self.trouble: RingstackError | None = None

    @property
    def busy(self) -> bool:
        """Something is on its way or waits."""
        return bool(self._queue or self._flying)

    @property
    def idle_slot(self) -> bool:
        """An entry given now would go at once."""
        return not self._queue and len(self._flying) < self._window and not self.paused

    def send(self, cargo: Cargo) -> Ticket:
        """Queue what shall be the next entry. Raises Fenced."""
        self.check()
        ticket = Ticket(cargo)
        self._queue.append(ticket)
        self.pump()
        return ticket

    def check(self) -> None:
        """Raises what ended this log."""
        if self.failure is not None:
            raise self.failure

    def pump(self) -> None:
        """Send what the window allows."""
        loop = asyncio.get_running_loop()
        while self._queue and len(self._flying) < self._window and not self.paused:
            ticket = self._queue.popleft()
            sequence, self._next = self._next, self._next + 1
            entry, body = ticket.cargo.load(self._row.branch, sequence)
            ticket.entry = entry
            self._flying.append(ticket)
            task = loop.create_task(self._store(ticket, entry, body))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            if "early-flush" in self._broken and not ticket.done.done():
                ticket.done.set_result(sequence)
        if not self._queue:
            waiting, self._room = self._room, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def room(self, timeout_s: float) -> None:
        """Until nothing waits for the window. Raises Fenced, Full, Unavailable."""
        while self._queue:
            self.check()
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append(future)
            await self._within(future, timeout_s)
        self.check()

    async def wait(self, ticket: Ticket, timeout_s: float) -> int:
        """Until an entry is committed; its number. Raises Fenced, Full, Unavailable."""
        await self._within(asyncio.shield(ticket.done), timeout_s)
        return ticket.done.result()

    async def _within(
        self, future: asyncio.Future[None] | asyncio.Future[int], timeout_s: float
    ) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await future
        except TimeoutError:
            raise self.trouble or Unavailable("NotDurable", "the log does not advance") from None

    async def _store(self, ticket: Ticket, entry: Entry, body: bytes) -> None:
        """Put one object; what cannot be waited out ends the log."""
        try:
            await self._put(ticket, entry, body)
        except RingstackError as error:
            self._fail(error)

    async def _put(self, ticket: Ticket, entry: Entry, body: bytes) -> None:
        """For as long as it takes."""
        name = entry_name(self._row, entry.sequence)
        pause_s = RETRY_S
        while self.failure is None:
            try:
                await self._objects.add(self._row.volume, name, body, DATA_MARK)
            except PreconditionFailed:
                if not await self._ours(entry):
                    self._fail(Fenced(self._row.volume))
                    return
            except NotFound:
                self._fail(Fenced(self._row.volume))
                return
            except Unavailable as error:
                self._note(error)
                await asyncio.sleep(pause_s)
                pause_s = min(RETRY_MAX_S, 2 * pause_s)
                continue
            self.trouble = None
            ticket.stored = True
            self._advance()
            return

    async def _ours(self, entry: Entry) -> bool:
        """The object that is there is what an earlier try of ours put."""
        while True:
            try:
                found = await self._recovery.entry(self._row, entry.sequence)
            except NotFound:
                return False
            except Unavailable:
                await asyncio.sleep(RETRY_S)
                continue
            return found is not None and found.kind != END

    def _note(self, error: RingstackError) -> None:
        """Whoever waits learns at once that there is no room; other trouble may pass in time."""
        self.trouble = error
        if not isinstance(error, Full):
            return
        for ticket in self._flying:
            if not ticket.done.done():
                ticket.done.set_exception(error)
                ticket.done = asyncio.get_running_loop().create_future()
                ticket.done.add_done_callback(_looked_at)
        for future in self._room:
            if not future.done():
                future.set_exception(error)
        self._room = []

    def _advance(self) -> None:
        while self._flying and self._flying[0].stored:
            ticket = self._flying.popleft()
            self._committed(ticket)
            assert ticket.entry is not None
            if not ticket.done.done():
                ticket.done.set_result(ticket.entry.sequence)
        self.pump()

    def _fail(self, error: RingstackError) -> None:
        """Nothing of this log is written any more."""
        if self.failure is not None:
            return
        self.failure = error
        for ticket in [*self._flying, *self._queue]:
            if not ticket.done.done():
                ticket.done.set_exception(error)
        for future in self._room:
            if not future.done():
                future.set_exception(error)
        self._queue.clear()
        self._flying.clear()
        self._room = []
        self._failed(error)

    async def settle(self) -> None:
        """Until nothing is on its way any more, whatever waits in the queue."""
        while self._flying and self.failure is None:
            await asyncio.wait(self._tasks)

    def abandon(self) -> None:
        """Stop everything."""
        self._fail(Fenced(self._row.volume))
        for task in self._tasks:
            task.cancel()
