"""Bodies: a stream of pieces to stripes on the ring, and back.

Memory is bounded: at most STRIPES_IN_FLIGHT stripes and the one being gathered are held while writing, and
two windows while reading, whatever the object's size.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import NamedTuple

from core.env import Env
from core.limits import INLINE_BYTES_MAX, STRIPE_BYTES
from objectd.wire import NOTHING_NEW
from proxy.store.blobs import Blobs, Written
from proxy.store.record import Extent
from ring.policy import Policy

STRIPES_IN_FLIGHT = 3
MD5_OFFLOAD_BYTES = 64 * 1024


class StoredBody(NamedTuple):
    """A body that is durable (as blobs) or small enough to travel in its register (inline).

    `stamp`: the lowest generation in which a blob of it was written or touched.
    """

    manifest: tuple[Extent, ...]
    inline: bytes
    size: int
    md5: str
    stamp: int = NOTHING_NEW


class BodyWriter:
    """Writes one body. After `abandon`, the blobs written so far are given back."""

    def __init__(self, env: Env, blobs: Blobs, policy: Policy, owner: bytes) -> None:
        self._env = env
        self._blobs = blobs
        self._policy = policy
        self._owner = owner
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0
        self._written: list[Written] = []
        self._writes: deque[asyncio.Task[Written]] = deque()

    async def write(self, body: AsyncIterator[bytes]) -> StoredBody:
        """Consume the body. Whatever it raises is passed on after the stripes written are dropped."""
        try:
            rest = await self._stripes(body)
            if not self._written and not self._writes and len(rest) <= INLINE_BYTES_MAX:
                self._md5.update(rest)
                return StoredBody((), rest, len(rest), self._md5.hexdigest())
            if rest:
                await self._put(rest)
            return await self._finish()
        except BaseException:
            await self.abandon()
            raise

    async def _finish(self) -> StoredBody:
        while self._writes:
            self._written.append(await self._writes.popleft())
        extents = tuple([one.extent for one in self._written])
        stamp = min((one.stamp for one in self._written), default=NOTHING_NEW)
        return StoredBody(extents, b"", self._size, self._md5.hexdigest(), stamp)

    async def write_whole(self, body: bytes) -> StoredBody:
        """A body in memory, whose MD5 nobody wants."""
        if len(body) <= INLINE_BYTES_MAX:
            return StoredBody((), body, len(body), "")
        stripes = [body[at : at + STRIPE_BYTES] for at in range(0, len(body), STRIPE_BYTES)]
        try:
            for stripe in stripes:
                await self._send(stripe)
            return await self._finish()
        except BaseException:
            await self.abandon()
            raise

    async def _stripes(self, body: AsyncIterator[bytes]) -> bytes:
        """Send every whole stripe on its way; return what remains."""
        parts: list[bytes | memoryview] = []
        have = 0
        async for chunk in body:
            rest = memoryview(chunk)
            while have + len(rest) >= STRIPE_BYTES:
                cut = STRIPE_BYTES - have
                parts.append(rest[:cut])
                await self._put(b"".join(parts))
                parts, have, rest = [], 0, rest[cut:]
            if rest:
                parts.append(rest if len(rest) < len(chunk) else chunk)
                have += len(rest)
        return b"".join(parts)

    async def _send(self, stripe: bytes) -> None:
        while len(self._writes) >= STRIPES_IN_FLIGHT:
            self._written.append(await self._writes.popleft())
        self._size += len(stripe)
        writing = self._blobs.write(self._policy, self._owner, stripe)
        self._writes.append(asyncio.get_running_loop().create_task(writing))

    async def _put(self, stripe: bytes) -> None:
        await self._send(stripe)
        if len(stripe) > MD5_OFFLOAD_BYTES:
            await self._env.offload(lambda: self._md5.update(stripe))
        else:
            self._md5.update(stripe)

    async def abandon(self) -> None:
        """Wait for writes under way and ask the devices to forget everything."""
        results = await asyncio.gather(*self._writes, return_exceptions=True)
        self._writes.clear()
        written = self._written + [done for done in results if isinstance(done, Written)]
        self._blobs.drop((one.extent.blob, one.extent.policy) for one in written)


async def read_extents(
    blobs: Blobs, manifest: Sequence[Extent], start: int, length: int
) -> AsyncIterator[bytes | memoryview]:
    """Bytes [start, start+length) of a body, reading one window ahead of the consumer."""
    windows = _windows(blobs, manifest, start, length)
    ahead: asyncio.Task[bytes | memoryview] | None = None
    loop = asyncio.get_running_loop()
    try:
        for extent, offset, size in windows:
            following = loop.create_task(_read(blobs, extent, offset, size))
            following.add_done_callback(_note_failure)
            if ahead is not None:
                current, ahead = ahead, following
                yield await current
            else:
                ahead = following
        if ahead is not None:
            yield await ahead
    finally:
        if ahead is not None:
            ahead.cancel()


def _note_failure(reading: asyncio.Task[bytes | memoryview]) -> None:
    """A window read ahead may fail after the reader has gone; then nobody else asks why."""
    if not reading.cancelled():
        reading.exception()


async def _read(blobs: Blobs, extent: Extent, offset: int, size: int) -> bytes | memoryview:
    return await blobs.read(extent, offset, size)


def _windows(
    blobs: Blobs, manifest: Sequence[Extent], start: int, length: int
) -> Iterator[tuple[Extent, int, int]]:
    """(extent, offset in it, bytes) covering the range, each one read."""
    position, end = 0, start + length
    for extent in manifest:
        low, high = max(start, position), min(end, position + extent.length)
        while low < high:
            size = min(high - low, blobs.window_bytes(extent))
            yield extent, low - position, size
            low += size
        position += extent.length
        if position >= end:
            return


def slice_extents(manifest: Sequence[Extent], start: int, length: int) -> list[Extent]:
    """The extents that name bytes [start, start+length) of a body, without copying anything."""
    result: list[Extent] = []
    position, end = 0, start + length
    for extent in manifest:
        low, high = max(start, position), min(end, position + extent.length)
        if low < high:
            result.append(
                Extent(
                    extent.blob,
                    extent.policy,
                    extent.blob_size,
                    extent.start + low - position,
                    high - low,
                )
            )
        position += extent.length
    return result
