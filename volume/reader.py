"""Bytes of log objects: manifests and recent chunks are remembered, what is under way is asked for once.

Log objects never change, so nothing here ever has to be invalidated. A chunk is what the store verifies as a whole,
so reading less would save nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from core.errors import NotFound
from volume.branch import Row, entry_name
from volume.objects import Objects, Piece
from volume.port import BLOCK_BYTES

CHUNK_BYTES = 64 * 1024
DIRECT_BYTES = 512 * 1024  # a run of this length does not go through the cache, unless it is there
TRIES = 2

Key = tuple[int, int]  # entry number, chunk


class Reader:
    """Reads data of entries. Bounded by bytes of chunks and by number of manifests."""

    def __init__(self, objects: Objects, *, cache_bytes: int, pieces_max: int) -> None:
        self._objects = objects
        self._cache_bytes = cache_bytes
        self._pieces_max = pieces_max
        self._pieces: OrderedDict[int, Piece] = OrderedDict()
        self._chunks: OrderedDict[Key, bytes] = OrderedDict()
        self._held_bytes = 0
        self._coming: dict[Key, asyncio.Future[None]] = {}

    def clear(self) -> None:
        """Drop what is kept; it may be read again."""
        self._pieces.clear()
        self._chunks.clear()
        self._held_bytes = 0

    async def piece(self, row: Row, number: int) -> Piece:
        """An entry's object. Raises NotFound."""
        found = self._pieces.get(number)
        if found is None:
            found = await self._objects.find(row.volume, entry_name(row, number))
            self._pieces[number] = found
            if len(self._pieces) > self._pieces_max:
                self._pieces.popitem(last=False)
        else:
            self._pieces.move_to_end(number)
        return found

    async def fetch(self, row: Row, number: int, offset: int, target: memoryview) -> None:
        """Copy blocks from `offset` on into the target. Raises NotFound when the object has gone."""
        start, length = offset * BLOCK_BYTES, len(target)
        piece = await self.piece(row, number)
        if piece.inline is not None:
            target[:] = piece.inline[start : start + length]
            return
        first, last = start // CHUNK_BYTES, (start + length - 1) // CHUNK_BYTES
        large = length >= DIRECT_BYTES and not self._any(number, first, last)
        for _ in range(0 if large else TRIES):
            if self._copy(number, start, target):
                return
            await self.load(piece, number, first, last)
        if large or not self._copy(number, start, target):
            target[:] = await self._objects.read(piece, start, length)

    def _any(self, number: int, first: int, last: int) -> bool:
        """Some chunk is here or on its way."""
        keys = [(number, chunk) for chunk in range(first, last + 1)]
        return any(key in self._chunks or key in self._coming for key in keys)

    def _copy(self, number: int, start: int, target: memoryview) -> bool:
        """Fill the target from chunks that are here; False when one is missing."""
        length = len(target)
        first, last = start // CHUNK_BYTES, (start + length - 1) // CHUNK_BYTES
        chunks = self._chunks
        if any((number, chunk) not in chunks for chunk in range(first, last + 1)):
            return False
        for chunk in range(first, last + 1):
            data = chunks[number, chunk]
            chunks.move_to_end((number, chunk))
            base = chunk * CHUNK_BYTES
            low, high = max(start, base), min(start + length, base + len(data))
            target[low - start : high - start] = data[low - base : high - base]
        return True

    async def load(self, piece: Piece, number: int, first: int, last: int) -> None:
        """Have chunks [first, last] here: those that are missing are read, neighbours at once."""
        waiting: list[asyncio.Future[None]] = []
        run: list[int] = []
        runs: list[list[int]] = []
        for chunk in range(first, last + 1):
            coming = self._coming.get((number, chunk))
            if coming is not None:
                waiting.append(coming)
            if coming is not None or (number, chunk) in self._chunks:
                run = []
                continue
            if not run:
                runs.append(run)
            run.append(chunk)
        begun = [(self._begin(number, one), one) for one in runs]
        try:
            works = [self._read(piece, number, one) for one in runs]
            if len(works) == 1 and not waiting:
                await works[0]
            else:
                await asyncio.gather(*works, *waiting)
        finally:
            for future, chunks in begun:
                self._end(number, chunks, future)

    def _begin(self, number: int, chunks: list[int]) -> asyncio.Future[None]:
        """From now on these are on their way: nobody else needs to ask for them."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for chunk in chunks:
            self._coming[number, chunk] = future
        return future

    def _end(self, number: int, chunks: list[int], future: asyncio.Future[None]) -> None:
        """Whoever waited looks again, and asks itself if it must."""
        for chunk in chunks:
            if self._coming.get((number, chunk)) is future:
                del self._coming[number, chunk]
        if not future.done():
            future.set_result(None)

    async def _read(self, piece: Piece, number: int, chunks: list[int]) -> None:
        start = chunks[0] * CHUNK_BYTES
        length = min(len(chunks) * CHUNK_BYTES, piece.size - start)
        try:
            raw = memoryview(await self._objects.read(piece, start, length))
            for position, chunk in enumerate(chunks):
                low = position * CHUNK_BYTES
                self._keep((number, chunk), bytes(raw[low : low + CHUNK_BYTES]))
        except NotFound:
            self._pieces.pop(number, None)
            raise

    def _keep(self, key: Key, data: bytes) -> None:
        self._held_bytes += len(data) - len(self._chunks.get(key, b""))
        self._chunks[key] = data
        while self._held_bytes > self._cache_bytes and len(self._chunks) > 1:
            _, gone = self._chunks.popitem(last=False)
            self._held_bytes -= len(gone)

    def forget(self, number: int) -> None:
        """An object has gone."""
        self._pieces.pop(number, None)
