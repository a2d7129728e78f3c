"""The writing side of an attachment: gathers writes into batches and sees them into the log.

Promises: a write returns once it is gathered, a flush once everything gathered before is committed in order; reads see
gathered writes. While entries are in flight, flushes gather too: one entry then answers many of them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from core.env import Env
from core.errors import RingstackError, Unavailable
from volume.batch import ZERO_STRETCH, Batch, cut_zeros, overlay
from volume.branch import Row
from volume.cipher import BlockCipher
from volume.entry import Entry, encode_footer
from volume.log import Log, Ticket
from volume.place import NEVER
from volume.port import BLOCK_BYTES
from volume.site import Site
from volume.window import Window


class BatchCargo:
    """A sealed batch on its way."""

    def __init__(self, batch: Batch, env: Env, size: int, cipher: BlockCipher | None) -> None:
        self.batch = batch
        self._env = env
        self._size = size
        self._cipher = cipher

    def load(self, branch: str, sequence: int) -> tuple[Entry, bytes]:
        """See the protocol."""
        entry = self.batch.entry(branch, sequence, self._env.wall_us(), self._size)
        data: bytes | bytearray = self.batch.data
        if self._cipher is not None:
            view = memoryview(data)
            data = b"".join(
                self._cipher.encrypt(
                    run.block,
                    view[run.offset * BLOCK_BYTES : (run.offset + run.length) * BLOCK_BYTES],
                )
                for run in entry.runs
                if run.offset < entry.blocks
            )
        return entry, b"".join((data, encode_footer(entry)))


class Writer:
    """Batches of one attachment, whole blocks only."""

    def __init__(
        self,
        site: Site,
        row: Row,
        window: Window,
        *,
        size: int,
        noted: Callable[[Entry], None],
    ) -> None:
        self._env = site.env
        self._tuning = tuning = site.tuning
        self._window = window
        self._noted = noted
        self.size = size
        self.volume_id = row.volume
        self.log = Log(
            site.objects,
            site.recovery,
            row,
            window=tuning.window,
            committed=self._committed,
            failed=self._failed,
            broken=tuning.broken,
        )
        self._open = Batch(tuning.batch_blocks)
        self._pending: deque[Batch] = deque()
        self._last: Ticket | None = None
        self._flush_wanted = False
        self._sealed: asyncio.Future[Ticket] = self._future()
        self._timer: asyncio.TimerHandle | None = None

    @staticmethod
    def _future() -> asyncio.Future[Ticket]:
        future: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    # -- writing -------------------------------------------------------------------------------

    async def put(self, block: int, data: memoryview) -> None:
        """Take whole blocks. Raises Fenced, Full, Unavailable."""
        count, step = len(data) // BLOCK_BYTES, self._tuning.batch_blocks
        for low in range(0, count, step):
            number = min(step, count - low)
            await self._ready()
            part = data[low * BLOCK_BYTES : (low + number) * BLOCK_BYTES]
            if number < ZERO_STRETCH:
                self.put_now(block + low, part)
            else:
                self._put_sparsely(block + low, part)

    def _put_sparsely(self, block: int, data: memoryview) -> None:
        """Take blocks at once, in one batch; long stretches of zeros are not stored."""
        cut = cut_zeros(block, data)
        if not any(zero for _, _, zero in cut):
            self.put_now(block, data)
            return
        room = self._open.room(block, len(data) // BLOCK_BYTES)
        if not (room and self._open.room_for_zeros(block, len(data) // BLOCK_BYTES)):
            self.seal()
        for low, count, zero in cut:
            if zero:
                self._open.zero(low, count)
            else:
                start = (low - block) * BLOCK_BYTES
                self._open.write(low, data[start : start + count * BLOCK_BYTES])
        self._taken()

    def put_now(self, block: int, data: memoryview) -> None:
        """Take at most a batch of blocks, at once."""
        if not self._open.room(block, len(data) // BLOCK_BYTES):
            self.seal()
        self._open.write(block, data)
        self._taken()

    async def zero(self, block: int, count: int) -> None:
        """Take a run to be made zero."""
        step = 1 << 31
        for low in range(0, count, step):
            number = min(step, count - low)
            await self._ready()
            if not self._open.room_for_zeros(block + low, number):
                self.seal()
            self._open.zero(block + low, number)
            self._taken()

    async def _ready(self) -> None:
        """Wait while too much is gathered."""
        await self.log.room(self._tuning.flush_timeout_s)

    def _taken(self) -> None:
        if self._open.full:
            self.seal()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._tuning.idle_s, self._idle)

    def _idle(self) -> None:
        self._timer = None
        if not self._open.empty and self.log.failure is None:
            self.seal()

    def seal(self) -> None:
        """What is gathered becomes the next entry."""
        if self._open.empty:
            return
        batch, self._open = self._open, Batch(self._tuning.batch_blocks)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._pending.append(batch)
        cargo = BatchCargo(batch, self._env, self.size, self._window.cipher)
        self._last = self.log.send(cargo)
        sealed, self._sealed = self._sealed, self._future()
        sealed.set_result(self._last)

    async def flush(self) -> int:
        """Until everything taken so far is committed; the position. Raises Fenced, Full, Unavailable."""
        self.log.check()
        timeout_s = self._tuning.flush_timeout_s
        if not self._open.empty:
            if self.log.idle_slot:
                self.seal()
            else:
                self._flush_wanted = True
                try:
                    async with asyncio.timeout(timeout_s):
                        ticket = await asyncio.shield(self._sealed)
                except TimeoutError:
                    trouble = self.log.trouble
                    raise trouble or Unavailable("NotDurable", "the log does not advance") from None
                await self.log.wait(ticket, timeout_s)
                return self._window.progress.position
        if self._last is not None:
            await self.log.wait(self._last, timeout_s)
        return self._window.progress.position

    def _committed(self, ticket: Ticket) -> None:
        assert ticket.entry is not None
        if isinstance(ticket.cargo, BatchCargo):
            batch = self._pending.popleft()
            assert batch is ticket.cargo.batch
        self._window.progress.apply(ticket.entry)
        self._noted(ticket.entry)
        if self._flush_wanted and self.log.failure is None:
            self._flush_wanted = False
            self.seal()

    def _failed(self, error: RingstackError) -> None:
        sealed, self._sealed = self._sealed, self._future()
        sealed.set_exception(error)

    # -- reading -------------------------------------------------------------------------------

    async def read(self, block: int, count: int) -> bytearray:
        """Whole blocks."""
        data = bytearray(count * BLOCK_BYTES)
        target = memoryview(data)
        missing = overlay([*self._pending, self._open], block, count, target)
        await self._window.read(missing, target, block)
        return data

    def gathered(self, block: int) -> bytes | None:
        """A block that is not in the log yet."""
        data = bytearray(BLOCK_BYTES)
        if overlay([*self._pending, self._open], block, 1, memoryview(data)):
            return None
        return bytes(data)

    async def patch(self, block: int, start: int, data: memoryview) -> None:
        """Replace part of a block: what is beside it is read, and nobody may change it meanwhile."""
        while True:
            await self._ready()
            whole = self.gathered(block)
            if whole is None:
                place = self._window.progress.map.place(block)
                whole = bytes(await self.read(block, 1)) if place != NEVER else bytes(BLOCK_BYTES)
                newer = self.gathered(block)
                if newer is not None:
                    whole = newer
                elif self._window.progress.map.place(block) != place:
                    continue
            merged = bytearray(whole)
            merged[start : start + len(data)] = data
            self.log.check()
            self.put_now(block, memoryview(merged))
            return

    # -- the end -------------------------------------------------------------------------------

    async def hold(self) -> None:
        """Send nothing more, and wait until nothing is in flight. See `release`."""
        self.log.paused = True
        await self.log.settle()

    def release(self) -> None:
        """Go on after `hold`."""
        self.log.paused = False
        self.log.pump()

    def close(self) -> None:
        """Let go without a flush."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._window.close()
        self.log.abandon()
