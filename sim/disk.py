"""Simulated disks: what is synced survives; of what is not, a crash keeps some sectors and loses others.

A `Platter` is the hardware and outlives crashes; a `SimDisk` is one process run's handle on it and dies
with the process, so that code left over from a dead process can change nothing.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Sequence

from core.env import Buffer
from core.errors import Corrupt
from objectd import record as records
from sim.faults import Faults

SECTOR_BYTES = 512


class Platter:
    """The durable state of one device: files by path, and what of them is synced."""

    def __init__(self, rng: random.Random, faults: Faults, capacity_bytes: int = 1 << 30) -> None:
        self.rng = rng
        self.faults = faults
        self.capacity_bytes = capacity_bytes
        self.files: dict[str, bytearray] = {}
        self.unsynced: dict[str, int] = {}  # path -> offset from which bytes are not synced
        self.skip_sync = False  # a mutant: fdatasync that does nothing
        self.write_errno = 0  # what every append fails with, once it has written a part

    def wipe(self) -> None:
        """Lose everything."""
        self.files.clear()
        self.unsynced.clear()

    def used_bytes(self) -> int:
        """Bytes in all files."""
        return sum(map(len, self.files.values()))

    def rot(self) -> str:
        """Flip a bit in the body of some record that was durable long ago; returns what was hit."""
        found = []
        for path, data in sorted(self.files.items()):
            if path.endswith(".seg"):
                found += [(path, *body) for body in _old_bodies(data)]
        if not found:
            return ""
        path, start, size = self.rng.choice(found)
        at = start + self.rng.randrange(size)
        self.files[path][at] ^= 1 << self.rng.randrange(8)
        return f"{path} byte {at}"

    def crash(self) -> None:
        """Lose or tear what was not synced."""
        for path, start in sorted(self.unsynced.items()):
            data = self.files.get(path)
            if data is None:
                continue
            keep = self.rng.randint(start, len(data)) if len(data) > start else start
            if self.rng.random() < 0.5:
                keep -= keep % SECTOR_BYTES
                keep = max(keep, start)
            del data[keep:]
            for sector in range(start, keep, SECTOR_BYTES):
                if self.rng.random() < 0.1:  # a sector in the middle never made it
                    end = min(sector + SECTOR_BYTES, keep)
                    data[sector:end] = bytes(end - sector)
        self.unsynced.clear()


def _old_bodies(data: bytearray) -> list[tuple[int, int]]:
    """Offset and length of the bodies in a segment, those of its last two groups left out."""
    groups: list[list[tuple[int, int]]] = [[]]
    offset = 0
    while offset + records.HEADER_BYTES <= len(data):
        try:
            header = records.decode_header(bytes(data[offset : offset + records.HEADER_BYTES]))
        except Corrupt:
            break
        if header.kind == records.GROUP:
            groups.append([])
        elif header.body_bytes:
            groups[-1].append((offset + header.total - header.body_bytes, header.body_bytes))
        offset += header.total
    return [body for group in groups[:-2] for body in group]


class SimDisk:
    """One process run's view of a platter."""

    def __init__(self, platter: Platter) -> None:
        self.platter = platter
        self.dead = False

    def make_directory(self, path: str) -> None:
        """Directories need no state."""
        del path

    def list_directory(self, path: str) -> list[str]:
        """Names directly below a path."""
        prefix = path + "/"
        inside = (name[len(prefix) :] for name in self.platter.files if name.startswith(prefix))
        return sorted({name.partition("/")[0] for name in inside})

    def open_append(self, path: str) -> SimFile:
        """Open or create."""
        self.platter.files.setdefault(path, bytearray())
        return SimFile(self, path)

    def remove(self, path: str) -> None:
        """Unlink."""
        if not self.dead:
            self.platter.files.pop(path, None)
            self.platter.unsynced.pop(path, None)

    def read_file(self, path: str) -> bytes | None:
        """Whole file."""
        data = self.platter.files.get(path)
        return None if data is None else bytes(data)

    def write_file(self, path: str, data: bytes) -> None:
        """Replace."""
        if not self.dead:
            self.platter.files[path] = bytearray(data)

    def free_bytes(self) -> int:
        """Capacity minus use."""
        return self.platter.capacity_bytes - self.platter.used_bytes()


class SimFile:
    """An append-only file on a platter."""

    def __init__(self, disk: SimDisk, path: str) -> None:
        self._disk = disk
        self._path = path
        self._size = len(disk.platter.files[path])

    @property
    def size(self) -> int:
        """Bytes known to be in the file."""
        return self._size

    def _alive(self) -> bytearray:
        data = self._disk.platter.files.get(self._path)
        if self._disk.dead or data is None:
            raise OSError(errno.EIO, "the process that opened this file is gone")
        return data

    async def append_synced(self, buffers: Sequence[Buffer]) -> None:
        """Write at once, be durable a little later; a crash in between tears."""
        platter = self._disk.platter
        blob = b"".join(bytes(buffer) for buffer in buffers)
        data = self._alive()
        if platter.write_errno:
            data.extend(blob[: len(blob) // 2])
            raise OSError(platter.write_errno, "the device fails")
        if len(blob) > self._disk.free_bytes():
            raise OSError(errno.ENOSPC, "no space left on device")
        del data[self._size :]
        start = self._size
        data.extend(blob)
        platter.unsynced[self._path] = min(start, platter.unsynced.get(self._path, start))
        delay = platter.faults.disk_s * (0.5 + platter.rng.random())
        if platter.rng.random() < platter.faults.disk_spike_rate:
            delay += 0.2 * platter.rng.random()
        await asyncio.sleep(delay)
        self._alive()
        if not platter.skip_sync:
            platter.unsynced.pop(self._path, None)
        self._size = start + len(blob)

    def read_cached(self, offset: int, length: int) -> bytes | None:
        """Sometimes the bytes are not in memory."""
        if self._disk.platter.rng.random() < 0.2:
            return None
        return self.read_now(offset, length)

    async def read(self, offset: int, length: int) -> bytes:
        """Read after a delay."""
        await asyncio.sleep(self._disk.platter.faults.disk_s)
        return self.read_now(offset, length)

    def read_now(self, offset: int, length: int) -> bytes:
        """Read at once."""
        return bytes(self._alive()[offset : offset + length])

    def truncate(self, length: int) -> None:
        """Cut and sync."""
        del self._alive()[length:]
        if not self._disk.platter.skip_sync:
            self._disk.platter.unsynced.pop(self._path, None)
        self._size = length

    def close(self) -> None:
        """Nothing to release."""
