"""What clients have written and not flushed yet, so that a daemon that is killed loses none of it.

A client that gets its connection again believes that its writes are still there, and its next flush would say that they
are safe. So every write is appended to a file first. Nothing is synced: what a killed process has written the kernel
still has. When the machine dies the clients on it have gone as well; then what is left of the files may have holes, and
is of no use (`spool_root`). A file is dropped once a flush covers all of it.

Records are (kind, round, offset, length, checksum) and data. A file that a flush has covered is written again from its
beginning, in another round: cutting it would keep the file system's journal busy beside everybody's syncs. Reading ends
at the first record that is torn or of another round. Replaying records whose effect is durable already is harmless,
because every later one is replayed after them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import xxhash

from core.errors import Full
from core.real import boot_id
from volume.port import Disk

RECORD = struct.Struct(">4sBIQQQ")
MAGIC = b"SPL2"
WRITE, ZERO, ALLOCATE = 1, 2, 3
FILE_BYTES = 16 << 20  # then another one is begun, so that the older may go
FLUSH_BYTES = 64 << 20  # so much that was never flushed is flushed by us


class Record(NamedTuple):
    """A change of a volume. `data` is empty unless it is a write."""

    kind: int
    offset: int
    length: int
    data: bytes | memoryview


def encode_record(record: Record, turn: int) -> bytes:
    """What goes before the data of a record in a file's round."""
    checksum = _checksum(record, turn)
    return RECORD.pack(MAGIC, record.kind, turn, record.offset, record.length, checksum)


def _checksum(record: Record, turn: int) -> int:
    digest = xxhash.xxh3_64(f"{record.kind}/{turn}/{record.offset}/{record.length}".encode())
    digest.update(record.data)
    return digest.intdigest()


def decode_records(data: bytes) -> Iterator[Record]:
    """Every whole record of the last round, from the beginning on."""
    view = memoryview(data)
    at, first = 0, None
    while len(view) - at >= RECORD.size:
        magic, kind, turn, offset, length, checksum = RECORD.unpack_from(view, at)
        at += RECORD.size
        body = view[at : at + length] if kind == WRITE else view[:0]
        record = Record(kind, offset, length, body)
        whole = kind != WRITE or len(body) == length
        first = turn if first is None else first
        if (magic, turn) != (MAGIC, first) or not whole or _checksum(record, turn) != checksum:
            return
        at += len(body)
        yield record


Mark = int  # bytes of records since the spool began, which only ever grow


class Spool:
    """The files of one attached volume, `NUMBER` in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ends: dict[int, Mark] = {}  # where each file's records end; the last one is open
        self._fd = -1
        self._at = 0  # in the open file
        self._turn = 1
        self._end: Mark = 0
        self._durable: Mark = 0

    @property
    def unflushed_bytes(self) -> int:
        """Records that no flush has covered."""
        return self._end - self._durable

    def _numbers(self) -> list[int]:
        if not self._directory.is_dir():
            return []
        return sorted(int(one.name) for one in self._directory.iterdir() if one.name.isdigit())

    def records(self) -> Iterator[Record]:
        """What an earlier process has left, in order."""
        for number in self._numbers():
            yield from decode_records((self._directory / str(number)).read_bytes())

    def begin(self) -> None:
        """Start a file after those that are there. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = self._numbers()
        self._ends = dict.fromkeys(numbers, 0)
        self._next((numbers[-1] if numbers else 0) + 1)

    def _next(self, number: int) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._fd = os.open(self._directory / str(number), flags, 0o600)
        self._ends[number] = self._end
        self._at = 0

    def append(self, record: Record) -> None:
        """Keep a change before it is made. Raises Full when the disk takes no more."""
        head = encode_record(record, self._turn)
        wanted = len(head) + len(record.data)
        try:
            done = os.pwritev(self._fd, [head, record.data], self._at)
        except OSError:
            done = 0
        if done != wanted:  # the next one is written over what there is of it
            raise Full("NoSpool", f"{self._directory} takes no more writes")
        self._at += wanted
        self._end += wanted
        number = max(self._ends)
        self._ends[number] = self._end
        if self._at >= FILE_BYTES:
            self._next(number + 1)

    def mark(self) -> Mark:
        """Where the spool ends now."""
        return self._end

    def durable(self, mark: Mark) -> None:
        """Everything before a mark is durable: drop what that covers, the oldest first."""
        self._durable = max(self._durable, mark)
        current = max(self._ends)
        for old in sorted(self._ends):
            if old == current or self._ends[old] > self._durable:
                break
            (self._directory / str(old)).unlink(missing_ok=True)
            del self._ends[old]
        if len(self._ends) == 1 and self._durable == self._end and self._at:
            os.pwrite(self._fd, bytes(len(MAGIC)), 0)  # there is nothing to replay
            self._at = 0
            self._turn += 1

    def close(self, *, remove: bool) -> None:
        """Let go; `remove` when nothing of it is needed any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if remove:
            self.remove()

    def remove(self) -> None:
        """Drop everything."""
        for number in self._numbers():
            (self._directory / str(number)).unlink(missing_ok=True)
        if self._directory.is_dir():
            self._directory.rmdir()
        self._ends.clear()


def spool_root(directory: Path) -> Path | None:
    """The directory of this boot's spools; those of others are removed. None when the kernel does not say which it is."""
    boot = boot_id().decode()
    if directory.is_dir():
        for other in directory.iterdir():
            if other.name != boot:
                shutil.rmtree(other)
    return directory / boot if boot else None


class SpooledDisk:
    """An attached volume whose writes survive the process that took them."""

    def __init__(self, disk: Disk, spool: Spool) -> None:
        self._disk = disk
        self._spool = spool
        self._under_way: dict[
            object, Mark
        ] = {}  # where changes that the volume has not taken begin
        self.read = disk.read
        self.extents = disk.extents
        self.changed = disk.changed
        self.resize = disk.resize

    @property
    def size(self) -> int:
        """Bytes."""
        return self._disk.size

    @property
    def read_only(self) -> bool:
        """Writes are refused."""
        return self._disk.read_only

    async def write(self, offset: int, data: bytes | memoryview, *, durable: bool = False) -> None:
        """See `Disk`."""
        with self._kept(Record(WRITE, offset, len(data), data)):
            await self._disk.write(offset, data, durable=durable)
        await self._relieve()

    async def zero(
        self, offset: int, length: int, *, durable: bool = False, allocate: bool = False
    ) -> None:
        """See `Disk`."""
        with self._kept(Record(ALLOCATE if allocate else ZERO, offset, length, b"")):
            await self._disk.zero(offset, length, durable=durable, allocate=allocate)
        await self._relieve()

    @contextlib.contextmanager
    def _kept(self, record: Record) -> Iterator[None]:
        """A change from its record until the volume has taken it."""
        change, begins = object(), self._spool.mark()
        self._spool.append(record)
        self._under_way[change] = begins
        try:
            yield
        finally:
            del self._under_way[change]

    async def _relieve(self) -> None:
        if self._spool.unflushed_bytes > FLUSH_BYTES:
            await self.flush()

    async def flush(self) -> int:
        """See `Disk`. What it covers leaves the spool."""
        mark = min(self._under_way.values(), default=self._spool.mark())
        position = await self._disk.flush()
        self._spool.durable(mark)
        return position

    async def close(self) -> None:
        """See `Disk`. What could not be flushed stays in the spool."""
        flushed = False
        try:
            await self._disk.close()
            flushed = True
        finally:
            self._spool.close(remove=flushed)


async def resume(disk: Disk, spool: Spool) -> SpooledDisk:
    """Make what an earlier process had taken part of the volume again, and go on."""
    again = 0
    for record in spool.records():
        again += 1
        if record.offset + record.length > disk.size:
            continue
        if record.kind == WRITE:
            await disk.write(record.offset, record.data)
        else:
            await disk.zero(record.offset, record.length, allocate=record.kind == ALLOCATE)
    if again:
        await disk.flush()
        spool.remove()
    spool.begin()
    return SpooledDisk(disk, spool)
