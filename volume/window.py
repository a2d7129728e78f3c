"""What a position of a volume reads: the map, the table that says where objects are, the key.

`Window` is the reading side of an attachment and of a view alike. It reads ahead of whoever reads in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from core.errors import Corrupt, NotFound, RingstackError
from volume.branch import BranchTable
from volume.cipher import BlockCipher
from volume.place import Run
from volume.port import BLOCK_BYTES
from volume.progress import Progress
from volume.reader import CHUNK_BYTES, Reader

STREAMS_MAX = 8
FETCHES_AT_ONCE = 16
TRIES = 5
AHEAD_BLOCKS_MIN = 16


class Stream(NamedTuple):
    """Somebody who reads in order: how many blocks so far, and up to which block it was read ahead."""

    length: int
    fetched: int


class Window:
    """Reads blocks of a log's state."""

    def __init__(
        self,
        progress: Progress,
        table: BranchTable,
        reader: Reader,
        cipher: BlockCipher | None,
        *,
        ahead_bytes: int,
    ) -> None:
        self.progress = progress
        self.table = table
        self.reader = reader
        self.cipher = cipher
        self._ahead_blocks = ahead_bytes // BLOCK_BYTES
        self._streams: dict[int, Stream] = {}  # by where a reader would go on
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, pieces: Iterable[tuple[int, int]], target: memoryview, first: int) -> None:
        """Fill runs (block, blocks) into a target that begins at block `first` and is zero.

        The runs are looked up before anything is awaited.
        """
        wanted = [run for block, count in pieces for run in self._stored(block, count)]
        if len(wanted) == 1:
            await self._fetch(wanted[0], target, first)
        elif wanted:
            limit = asyncio.Semaphore(FETCHES_AT_ONCE)

            async def take(run: Run) -> None:
                async with limit:
                    await self._fetch(run, target, first)

            await asyncio.gather(*(take(run) for run in wanted))

    def _stored(self, block: int, count: int) -> list[Run]:
        return [run for run in self.progress.map.runs(block, count) if run.data]

    async def _fetch(self, run: Run, target: memoryview, first: int) -> None:
        low = (run.block - first) * BLOCK_BYTES
        part = target[low : low + run.length * BLOCK_BYTES]
        number = run.object_number
        try:
            await self.reader.fetch(self.table.row(number), number, run.offset, part)
        except NotFound:
            await self._fetch_again(run, part)
            return
        if self.cipher is not None:
            part[:] = self.cipher.decrypt(run.block, part)

    async def _fetch_again(self, run: Run, part: memoryview) -> None:
        """The collector has moved it since it was looked up. Raises Corrupt when it is nowhere."""
        for _ in range(TRIES):
            self.reader.forget(run.object_number)
            moved = [one for one in self._stored(run.block, run.length) if one.data]
            try:
                for one in moved:
                    low = (one.block - run.block) * BLOCK_BYTES
                    piece = part[low : low + one.length * BLOCK_BYTES]
                    number = one.object_number
                    await self.reader.fetch(self.table.row(number), number, one.offset, piece)
                    if self.cipher is not None:
                        piece[:] = self.cipher.decrypt(one.block, piece)
                return
            except NotFound:
                await asyncio.sleep(0)
        raise Corrupt("LostObject", f"entry {run.object_number} of the log has gone")

    # -- reading ahead -------------------------------------------------------------------------

    def follow(self, block: int, count: int, end: int) -> None:
        """Somebody read a run; if it went on where an earlier one ended, the next blocks are fetched.

        The longer it has gone on, the further: two neighbours alone fetch nothing.
        """
        after = block + count
        known = self._streams.pop(block, Stream(0, 0))
        if len(self._streams) >= STREAMS_MAX:
            self._streams.pop(next(iter(self._streams)))
        length = known.length + count
        distance = min(2 * length, self._ahead_blocks) if known.length else 0
        start = max(known.fetched, after)
        stop = min(end, after + distance)
        if distance < AHEAD_BLOCKS_MIN or stop - start < distance // 2:
            self._streams[after] = Stream(length, start)
            return
        self._streams[after] = Stream(length, stop)
        task = asyncio.get_running_loop().create_task(self._prefetch(start, stop - start))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prefetch(self, block: int, count: int) -> None:
        """Chunks of a run into the cache; whoever reads them meets the errors."""
        with contextlib.suppress(RingstackError):
            async with asyncio.TaskGroup() as group:
                for run in self._stored(block, count)[:FETCHES_AT_ONCE]:
                    group.create_task(self._load(run))

    async def _load(self, run: Run) -> None:
        number = run.object_number
        with contextlib.suppress(RingstackError):
            piece = await self.reader.piece(self.table.row(number), number)
            if piece.inline is None:
                first = run.offset * BLOCK_BYTES // CHUNK_BYTES
                last = ((run.offset + run.length) * BLOCK_BYTES - 1) // CHUNK_BYTES
                await self.reader.load(piece, number, first, last)

    def close(self) -> None:
        """Stop reading ahead, and hold no data any more: what refers to this may live on for long."""
        for task in self._tasks:
            task.cancel()
        self.reader.clear()
