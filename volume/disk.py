"""Disks: an attachment that writes, and a view that only reads (implement `volume.port.Disk`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from core.errors import Conflict, Corrupt, Refused
from volume.branch import Row
from volume.cipher import BlockCipher
from volume.entry import Entry
from volume.log import Log
from volume.naming import check_range, check_size
from volume.place import NEVER
from volume.port import BLOCK_BYTES, Extent, Fenced
from volume.reader import Reader
from volume.recovery import Recovered
from volume.site import Site
from volume.state import State, grown
from volume.upkeep import Upkeep
from volume.window import Window
from volume.writer import Writer


def blocks_of(offset: int, length: int) -> tuple[int, int]:
    """(first, number) of the blocks that a run touches."""
    first = offset // BLOCK_BYTES
    return first, -(-(offset + length) // BLOCK_BYTES) - first


def window_of(site: Site, recovered: Recovered, cipher: BlockCipher | None) -> Window:
    """The reading side of what was recovered."""
    tuning = site.tuning
    reader = Reader(site.objects, cache_bytes=tuning.cache_bytes, pieces_max=tuning.pieces_max)
    return Window(
        recovered.progress,
        recovered.table,
        reader,
        cipher,
        ahead_bytes=min(tuning.ahead_bytes, tuning.cache_bytes // 2),
    )


class Differences:
    """What changed after a position, by the entries that clients wrote."""

    def __init__(self, site: Site, window: Window, state: State) -> None:
        self._site = site
        self._window = window
        self._reverts = state.reverts
        self._known: dict[int, Entry] = {}

    async def extents(self, since: int, offset: int, length: int) -> list[Extent]:
        """See `Disk.changed`. Inside what a revert took back, everything counts as changed."""
        check_all = any(one.target < since <= one.end for one in self._reverts)
        first, count = blocks_of(offset, length)
        found: list[Extent] = []
        for run in self._window.progress.map.runs(first, count):
            number = run.object_number
            if run.place == NEVER or number <= since:
                _join(found, run.block, run.length, data=check_all and run.place != NEVER)
            elif not self._window.progress.ledger.moved(number):
                _join(found, run.block, run.length, data=True)
            else:
                for block in range(run.length):
                    at = run.offset + block
                    newer = check_all or await self._origin(number, at) > since
                    _join(found, run.block + block, 1, data=newer)
        return cut(found, offset, length)

    async def _origin(self, number: int, offset: int) -> int:
        """The entry in which a client wrote what the collector has put at this place."""
        entry = self._known.get(number)
        if entry is None:
            found = await self._site.recovery.entry(self._window.table.row(number), number)
            if found is None:
                return number
            if len(self._known) > 256:
                self._known.clear()
            entry = self._known[number] = found
        for run in entry.runs:
            if run.offset <= offset < run.offset + run.length:
                return run.origin
        return number


def _join(found: list[Extent], block: int, count: int, *, data: bool) -> None:
    """Add blocks to a list of runs."""
    start, length = block * BLOCK_BYTES, count * BLOCK_BYTES
    if found and found[-1].data == data:
        found[-1] = found[-1]._replace(length=found[-1].length + length)
    else:
        found.append(Extent(start, length, data))


def cut(found: list[Extent], offset: int, length: int) -> list[Extent]:
    """Runs of whole blocks, cut to a run of bytes."""
    result = []
    for extent in found:
        low = max(extent.offset, offset)
        high = min(extent.offset + extent.length, offset + length)
        if low < high:
            result.append(Extent(low, high - low, extent.data))
    return result


def holes(window: Window, offset: int, length: int) -> list[Extent]:
    """See `Disk.extents`."""
    found: list[Extent] = []
    for run in window.progress.map.runs(*blocks_of(offset, length)):
        _join(found, run.block, run.length, data=run.data)
    return cut(found, offset, length)


class ViewDisk:
    """A position of a volume, read only. `let_go` ends what keeps it readable."""

    def __init__(
        self,
        site: Site,
        window: Window,
        state: State,
        size: int,
        let_go: Callable[[], Awaitable[None]] | None,
    ) -> None:
        self._window = window
        self._size = size
        self._let_go = let_go
        self._differences = Differences(site, window, state)

    @property
    def size(self) -> int:
        """See the port."""
        return self._size

    @property
    def read_only(self) -> bool:
        """See the port."""
        return True

    @property
    def window(self) -> Window:
        """What it reads through."""
        return self._window

    async def read(self, offset: int, length: int) -> bytes:
        """See the port."""
        check_range(self._size, offset, length)
        if not length:
            return b""
        first, count = blocks_of(offset, length)
        data = bytearray(count * BLOCK_BYTES)
        await self._window.read([(first, count)], memoryview(data), first)
        self._window.follow(first, count, -(-self._size // BLOCK_BYTES))
        skip = offset - first * BLOCK_BYTES
        return bytes(memoryview(data)[skip : skip + length])

    async def write(self, offset: int, data: bytes | memoryview, *, durable: bool = False) -> None:
        """See the port."""
        del offset, data, durable
        raise Refused("ReadOnly", "a view of a volume cannot be written")

    async def zero(
        self, offset: int, length: int, *, durable: bool = False, allocate: bool = False
    ) -> None:
        """See the port."""
        del offset, length, durable, allocate
        raise Refused("ReadOnly", "a view of a volume cannot be written")

    async def flush(self) -> int:
        """See the port."""
        return self._window.progress.position

    async def extents(self, offset: int, length: int) -> list[Extent]:
        """See the port."""
        check_range(self._size, offset, length)
        return holes(self._window, offset, length)

    async def changed(self, since: int, offset: int, length: int) -> list[Extent]:
        """See the port."""
        check_range(self._size, offset, length)
        return await self._differences.extents(since, offset, length)

    async def resize(self, size: int) -> None:
        """See the port."""
        del size
        raise Refused("ReadOnly", "a view of a volume cannot grow")

    async def close(self) -> None:
        """See the port."""
        self._window.close()
        if self._let_go is not None:
            await self._let_go()


class LogDisk:
    """An attachment: the only writer of a volume, until the next one."""

    def __init__(
        self,
        site: Site,
        row: Row,
        state: State,
        recovered: Recovered,
        cipher: BlockCipher | None,
    ) -> None:
        self._site = site
        self.volume_id = row.volume
        self._row = row
        self.upkeep: Upkeep
        self._window = window_of(site, recovered, cipher)
        self._writer = Writer(site, row, self._window, size=state.size, noted=self._noted)
        self.upkeep = Upkeep(site, row, recovered, state, self._writer.log)
        self._differences = Differences(site, self._window, state)
        self._closed = False

    @property
    def size(self) -> int:
        """See the port."""
        return self._writer.size

    @property
    def read_only(self) -> bool:
        """See the port."""
        return False

    @property
    def window(self) -> Window:
        """What it reads through."""
        return self._window

    def _noted(self, entry: Entry) -> None:
        self.upkeep.noted(entry)

    @property
    def log(self) -> Log:
        """What it writes to."""
        return self._writer.log

    async def read(self, offset: int, length: int) -> bytes:
        """See the port."""
        check_range(self.size, offset, length)
        if not length:
            return b""
        first, count = blocks_of(offset, length)
        try:
            data = await self._writer.read(first, count)
        except Corrupt:
            await self._check_place()
            raise
        self._window.follow(first, count, -(-self.size // BLOCK_BYTES))
        skip = offset - first * BLOCK_BYTES
        return bytes(memoryview(data)[skip : skip + length])

    async def _check_place(self) -> None:
        """What is not there may have been collected by a later attachment. Raises Fenced then."""
        self._writer.log.check()
        state = (await self._site.states.load(self.volume_id)).state
        if state.deleted or state.rows[-1].branch != self._row.branch:
            raise Fenced(self.volume_id)

    async def write(self, offset: int, data: bytes | memoryview, *, durable: bool = False) -> None:
        """See the port."""
        view = memoryview(data).cast("B")
        check_range(self.size, offset, len(view))
        self._writer.log.check()
        head = -offset % BLOCK_BYTES
        if head:
            part, view = view[:head], view[head:]
            await self._writer.patch(offset // BLOCK_BYTES, BLOCK_BYTES - head, part)
            offset += head
        tail = len(view) % BLOCK_BYTES
        whole = view[: len(view) - tail]
        if whole:
            await self._writer.put(offset // BLOCK_BYTES, whole)
        if tail:
            block = (offset + len(whole)) // BLOCK_BYTES
            await self._writer.patch(block, 0, view[len(view) - tail :])
        if durable:
            await self.flush()

    async def zero(
        self, offset: int, length: int, *, durable: bool = False, allocate: bool = False
    ) -> None:
        """See the port. Nothing is ever allocated ahead, so `allocate` changes nothing."""
        del allocate
        check_range(self.size, offset, length)
        self._writer.log.check()
        end = offset + length
        first = -(-offset // BLOCK_BYTES)
        last = -(-end // BLOCK_BYTES) if end == self.size else end // BLOCK_BYTES
        if first > last or first * BLOCK_BYTES > end:
            await self.write(offset, bytes(length))
        else:
            if first * BLOCK_BYTES > offset:
                await self.write(offset, bytes(first * BLOCK_BYTES - offset))
            if last > first:
                await self._writer.zero(first, last - first)
            if last * BLOCK_BYTES < end:
                await self.write(last * BLOCK_BYTES, bytes(end - last * BLOCK_BYTES))
        if durable:
            await self.flush()

    async def flush(self) -> int:
        """See the port."""
        return await self._writer.flush()

    async def extents(self, offset: int, length: int) -> list[Extent]:
        """See the port. What is gathered is flushed first."""
        check_range(self.size, offset, length)
        await self.flush()
        return holes(self._window, offset, length)

    async def changed(self, since: int, offset: int, length: int) -> list[Extent]:
        """See the port. What is gathered is flushed first."""
        check_range(self.size, offset, length)
        await self.flush()
        return await self._differences.extents(since, offset, length)

    async def resize(self, size: int) -> None:
        """See the port."""
        check_size(size)
        if size < self.size:
            raise Conflict("Shrink", f"volume {self.volume_id} has {self.size} bytes already")
        self._writer.log.check()
        await self._site.states.change(self.volume_id, lambda state: grown(state, size))
        self._writer.size = max(self._writer.size, size)

    async def hold(self) -> None:
        """Let nothing more become durable until `release`: for a cut over several volumes."""
        await self._writer.hold()

    def release(self) -> None:
        """Go on after `hold`."""
        self._writer.release()

    async def close(self) -> None:
        """See the port."""
        if self._closed:
            return
        try:
            await self.flush()
            await self.upkeep.stop()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go at once, as a crash would."""
        self._closed = True
        self.upkeep.cancel()
        self._writer.close()
