"""The bytes of an image: written into a volume as they come, frozen, read back, given up.

An image's bytes are the volume of its id, exactly as they were given; its size in bytes is in SQL, because a volume's
is a multiple of its block. Blocks of zeros are left out. A frozen image is a snapshot, named as the image, so nobody
changes it and volumes begin from it without copying. The raw form of an image in another format is the volume `ID-raw`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import NamedTuple

from core.errors import NotFound, Refused
from imaged.library import Library
from volume.port import BLOCK_BYTES, Disk

PIECE_BYTES = 4 << 20
READ_BYTES = 1 << 20
ZEROS = bytes(64 << 10)
HASH_ALGORITHM = "sha512"
SCHEME = "ringstack://"


class Stored(NamedTuple):
    """What was written: bytes, MD5 and SHA-512 in hexadecimal."""

    size: int
    checksum: str
    hash_value: str


class Digests:
    """MD5 (the API's checksum) and SHA-512 of a stream."""

    def __init__(self) -> None:
        self._checksum = hashlib.md5(usedforsecurity=False)
        self._hash = hashlib.sha512()
        self.size = 0

    def add(self, piece: bytes) -> None:
        """Take the next bytes."""
        self._checksum.update(piece)
        self._hash.update(piece)
        self.size += len(piece)

    def stored(self) -> Stored:
        """The outcome."""
        return Stored(self.size, self._checksum.hexdigest(), self._hash.hexdigest())


def raw_volume(image_id: str) -> str:
    """The volume that holds the raw form of an image in another format."""
    return f"{image_id}-raw"


def location(volume_id: str, snapshot_id: str) -> str:
    """The URL by which services name a frozen volume."""
    return f"{SCHEME}{volume_id}/{snapshot_id}"


def rounded(size: int) -> int:
    """Bytes of the smallest volume that holds so many."""
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def data_runs(piece: bytes) -> list[tuple[int, int]]:
    """Offsets and lengths of what is not zeros, by the block."""
    runs: list[tuple[int, int]] = []
    view = memoryview(piece)
    for step in range(0, len(piece), len(ZEROS)):
        large = view[step : step + len(ZEROS)]
        if large == ZEROS[: len(large)]:
            continue
        for offset in range(step, step + len(large), BLOCK_BYTES):
            block = view[offset : offset + BLOCK_BYTES]
            if block == ZEROS[: len(block)]:
                continue
            if runs and sum(runs[-1]) == offset:
                runs[-1] = (runs[-1][0], runs[-1][1] + len(block))
            else:
                runs.append((offset, len(block)))
    return runs


async def pieces(chunks: AsyncIterator[bytes], size: int = PIECE_BYTES) -> AsyncIterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter."""
    parts: list[bytes] = []
    gathered = 0
    async for chunk in chunks:
        parts.append(chunk)
        gathered += len(chunk)
        while gathered >= size:
            whole = b"".join(parts)
            yield whole[:size]
            parts = [whole[size:]]
            gathered -= size
    if gathered:
        yield b"".join(parts)


class Contents:
    """The volumes of images."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._volumes = library.volumes

    async def store(
        self, image_id: str, chunks: AsyncIterator[bytes], *, size_hint: int, size_max: int
    ) -> Stored:
        """Write a stream to the image's volume, made anew, and make it durable.

        Raises Refused("TooLarge") beyond `size_max` bytes, and what reading the stream or writing the volume raises.
        """
        if size_hint > size_max:
            raise too_large(size_max)
        await self.discard(image_id)
        await self._volumes.create(image_id, rounded(size_hint))
        disk = await self._volumes.attach(image_id, self._library.owner)
        try:
            return await self._fill(disk, chunks, size_max)
        finally:
            await disk.close()

    async def _fill(self, disk: Disk, chunks: AsyncIterator[bytes], size_max: int) -> Stored:
        digests = Digests()
        async for piece in pieces(chunks):
            offset = digests.size
            if offset + len(piece) > size_max:
                raise too_large(size_max)
            if offset + len(piece) > disk.size:
                await disk.resize(rounded(offset + len(piece)))
            runs = await self._library.env.offload(lambda piece=piece: data_runs(piece))  # type: ignore[misc]
            digesting = asyncio.ensure_future(
                self._library.env.offload(lambda piece=piece: digests.add(piece))  # type: ignore[misc]
            )
            try:
                for begin, length in runs:
                    await disk.write(offset + begin, memoryview(piece)[begin : begin + length])
            finally:
                await digesting
        await disk.flush()
        return digests.stored()

    async def freeze(self, image_id: str, volume_id: str | None = None) -> None:
        """Let nothing change the image's volume (or its raw form) any more."""
        await self._volumes.snapshot(volume_id or image_id, image_id)

    async def adopt(self, image_id: str, source_id: str, snapshot_id: str) -> int:
        """Make the image's volume of a snapshot without copying; returns its bytes. Raises NotFound."""
        info = await self._volumes.clone(image_id, source_id, snapshot_id)
        await self.freeze(image_id)
        return info.size

    async def view(self, image_id: str, *, frozen: bool) -> Disk:
        """Read-only: the frozen image, or what has been staged. Raises NotFound."""
        return await self._volumes.view(image_id, snapshot_id=image_id if frozen else None)

    async def read(self, image_id: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """Bytes of a frozen image. Raises NotFound, Unavailable, Corrupt."""
        disk = await self.view(image_id, frozen=True)
        try:
            end = offset + length
            while offset < end:
                count = min(READ_BYTES, end - offset)
                yield await disk.read(offset, count)
                offset += count
        finally:
            await disk.close()

    async def digest(self, image_id: str, size: int) -> Stored:
        """Checksums of a frozen image."""
        digests = Digests()
        async for chunk in self.read(image_id, 0, size):
            await self._library.env.offload(lambda chunk=chunk: digests.add(chunk))  # type: ignore[misc]
        return digests.stored()

    async def discard(self, image_id: str) -> None:
        """Give up all volumes of an image; clones keep what they need. Doing it twice is no error."""
        for volume_id in (raw_volume(image_id), image_id):
            await self.drop(volume_id, image_id)

    async def drop(self, volume_id: str, image_id: str) -> None:
        """Give up one volume."""
        with suppress(NotFound):
            await self._volumes.drop_snapshot(volume_id, image_id)
        with suppress(NotFound):
            await self._volumes.delete(volume_id)


def too_large(size_max: int) -> Refused:
    """The refusal of more bytes than an image may have."""
    return Refused("TooLarge", f"an image has at most {size_max} bytes here")
