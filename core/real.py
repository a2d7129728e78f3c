"""`Env` and `Disk` on the operating system: the only file that may use clocks, chance and threads.

`append_synced` runs writev + fdatasync in the device's own thread, so that the event loop goes on
gathering the next group while the disk works. Reads try the page cache first (RWF_NOWAIT) and use a
thread only when the bytes must come from the device.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from core.env import Buffer

T = TypeVar("T")
IOV_MAX = 1024
STREAMING_BYTES_MIN = 1024 * 1024  # a group of at least this much is not kept in the page cache
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
NOWAIT = getattr(os, "RWF_NOWAIT", 0)


class Faults:
    """Faults that a fault test wants in a real process: a wrong clock, a slow, full or broken disk.

    The file that RINGSTACK_FAULTS names is read again when it changes. Without that variable, as always
    in production, there are none and nothing is looked at.
    """

    EVERY_S = 0.2

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._looked = 0.0
        self._stamp = -1
        self._clock_skew_us = 0
        self._disks: dict[str, FaultyDisk] = {}

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < self.EVERY_S:
            return
        self._looked = now
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            stamp = self._path.stat().st_mtime_ns
            if stamp != self._stamp:
                wanted = msgspec.json.decode(self._path.read_bytes(), type=FaultsWanted)
                self._clock_skew_us = int(wanted.clock_skew_s * 1e6)
                self._disks = wanted.disks
                self._stamp = stamp

    def clock_skew_us(self) -> int:
        """What to add to the wall clock."""
        self._look()
        return self._clock_skew_us

    def disk(self, path: str) -> FaultyDisk | None:
        """What is wrong with the disk that a file is on."""
        self._look()
        for root, fault in self._disks.items():
            if path.startswith(root):
                return fault
        return None

    def strike(self, path: str, *, writing: bool) -> None:
        """Wait or fail as the disk of a file shall; called in threads that may block. Raises OSError."""
        fault = self.disk(path)
        if fault is None:
            return
        time.sleep(fault.delay_s)
        if fault.broken:
            raise OSError(errno.EIO, "a fault test wants this")
        if fault.full and writing:
            raise OSError(errno.ENOSPC, "a fault test wants this")


class FaultyDisk(msgspec.Struct, frozen=True):
    """What is wrong with one device."""

    delay_s: float = 0.0
    full: bool = False
    broken: bool = False


class FaultsWanted(msgspec.Struct, frozen=True):
    """The file: seconds added to the wall clock, and disks by the path that their files begin with."""

    clock_skew_s: float = 0.0
    disks: dict[str, FaultyDisk] = {}


FAULTS_FILE = "RINGSTACK_FAULTS"
_FAULTS = Faults(os.environ[FAULTS_FILE]) if FAULTS_FILE in os.environ else None


class RealEnv:
    """The operating system's clock, entropy and a small pool for blocking work."""

    def __init__(self, workers: int = 2) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="offload")

    def wall_us(self) -> int:
        """Microseconds since 1970."""
        now_us = time.time_ns() // 1000
        return now_us if _FAULTS is None else now_us + _FAULTS.clock_skew_us()

    def random_bytes(self, count: int) -> bytes:
        """Entropy from the kernel."""
        return os.urandom(count)

    def random(self) -> float:
        """Uniform in [0, 1)."""
        return random.random()

    async def offload(self, function: Callable[[], T]) -> T:
        """Run in the pool."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)

    def quirk(self, name: str) -> bool:
        """Production has no quirks."""
        del name
        return False


class _Streaming:
    """Whether the kernel can write large data without keeping it in the page cache (Linux 6.14).

    Filling fresh pages of the cache was three quarters of the cost of storing large objects here; pages
    that are given back at once are recycled, at twice the speed for the whole path.
    """

    flag = 0x80  # RWF_DONTCACHE; 0 once the kernel or the file system has refused it


def _write_all(fd: int, buffers: Sequence[Buffer], offset: int) -> None:
    """Write every buffer at `offset`, in as few system calls as the kernel allows."""
    views = [memoryview(buffer) for buffer in buffers if len(buffer)]
    large = sum(view.nbytes for view in views) >= STREAMING_BYTES_MIN
    position = 0
    while position < len(views):
        written = _write_some(fd, views[position : position + IOV_MAX], offset, large=large)
        if written == 0:
            raise OSError(errno.EIO, "the device accepted no bytes")
        offset += written
        while position < len(views) and written >= views[position].nbytes:
            written -= views[position].nbytes
            position += 1
        if written:
            views[position] = views[position][written:]


def _write_some(fd: int, views: list[memoryview], offset: int, *, large: bool) -> int:
    if large and _Streaming.flag:
        try:
            return os.pwritev(fd, views, offset, _Streaming.flag)
        except OSError as error:
            if error.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
                raise
            _Streaming.flag = 0
    return os.pwritev(fd, views, offset)


class Writer:
    """One thread that syncs for a device, handing results straight back to the event loop.

    Per commit it costs 8 µs of CPU where an executor costs 23, and 10 µs of delay where that costs 48.
    """

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[asyncio.Future[None], Callable[[], None]]] = (
            queue.SimpleQueue()
        )
        self._thread: threading.Thread | None = None

    def submit(self, work: Callable[[], None]) -> asyncio.Future[None]:
        """Run `work` in the thread; the future has its end or its exception."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sync", daemon=True)
            self._thread.start()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.put((future, work))
        return future

    def _run(self) -> None:
        while True:
            future, work = self._queue.get()
            error: OSError | None = None
            try:
                work()
            except OSError as failure:
                error = failure
            except Exception as failure:  # the thread must live: somebody waits for every answer
                error = OSError(errno.EIO, f"{type(failure).__name__}: {failure}")
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                future.get_loop().call_soon_threadsafe(_finish, future, error)


def _finish(future: asyncio.Future[None], error: OSError | None) -> None:
    if future.cancelled():
        return
    if error is None:
        future.set_result(None)
    else:
        future.set_exception(error)


class RealFile:
    """An append-only file; one writer at a time."""

    def __init__(self, path: Path, writer: Writer, reader: ThreadPoolExecutor) -> None:
        self._path = str(path)
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size
        self._writer = writer
        self._reader = reader
        self._reading = 0
        self._closing = False
        if not self._size:  # new, or made by a process that died before its name was durable
            try:
                sync_directory(path.parent)
            except OSError:
                os.close(self._fd)
                raise

    @property
    def size(self) -> int:
        """Bytes known to be in the file."""
        return self._size

    async def append_synced(self, buffers: Sequence[Buffer]) -> None:
        """Append, then fdatasync, both in the writer thread."""
        offset = self._size
        total = sum(map(len, buffers))

        def work() -> None:
            if _FAULTS is not None:
                _FAULTS.strike(self._path, writing=True)
            _write_all(self._fd, buffers, offset)
            os.fdatasync(self._fd)

        await self._writer.submit(work)
        self._size = offset + total

    def read_cached(self, offset: int, length: int) -> bytes | None:
        """From the page cache only."""
        if _FAULTS is not None and _FAULTS.disk(self._path) is not None:
            return None
        buffer = bytearray(length)
        try:
            count = os.preadv(self._fd, [buffer], offset, NOWAIT)
        except BlockingIOError:
            return None
        except OSError as error:
            if (
                error.errno == errno.EOPNOTSUPP
            ):  # a file system without NOWAIT: let the thread do it
                return None
            raise
        if count == length:
            return bytes(buffer) if length < 65536 else buffer  # type: ignore[return-value]
        return None if offset + count < self._size else bytes(buffer[:count])

    async def read(self, offset: int, length: int) -> bytes:
        """In the reader pool."""
        loop = asyncio.get_running_loop()
        self._reading += 1
        reading = loop.run_in_executor(self._reader, self.read_now, offset, length)
        reading.add_done_callback(self._read_ended)
        return await asyncio.shield(reading)

    def _read_ended(self, reading: asyncio.Future[bytes]) -> None:
        if not reading.cancelled():
            reading.exception()  # seen by whoever awaits it, if somebody still does
        self._reading -= 1
        if self._closing:
            self.close()

    def read_now(self, offset: int, length: int) -> bytes:
        """Blocking read of up to `length` bytes."""
        if _FAULTS is not None:
            _FAULTS.strike(self._path, writing=False)
        parts: list[bytes] = []
        while length > 0:
            part = os.pread(self._fd, length, offset)
            if not part:
                break
            parts.append(part)
            offset += len(part)
            length -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def truncate(self, length: int) -> None:
        """Cut and sync."""
        os.ftruncate(self._fd, length)
        os.fsync(self._fd)
        self._size = length

    def close(self) -> None:
        """Close the descriptor, after the last read: its number must not be used again before that."""
        self._closing = True
        if self._fd >= 0 and not self._reading:
            os.close(self._fd)
            self._fd = -1


class RealDisk:
    """A directory of the host. `root` comes from the operator; all paths below it are ours."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._writer = Writer()
        self._reader = ThreadPoolExecutor(4, thread_name_prefix="read")

    def make_directory(self, path: str) -> None:
        """Create with parents, private to the owner and durable."""
        make_directory(self.root / path)

    def list_directory(self, path: str) -> list[str]:
        """Sorted entries."""
        try:
            return sorted(entry.name for entry in (self.root / path).iterdir())
        except FileNotFoundError:
            return []

    def open_append(self, path: str) -> RealFile:
        """Open or create."""
        return RealFile(self.root / path, self._writer, self._reader)

    def remove(self, path: str) -> None:
        """Unlink."""
        with contextlib.suppress(FileNotFoundError):
            (self.root / path).unlink()

    def read_file(self, path: str) -> bytes | None:
        """Whole file or None."""
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError:
            return None

    def write_file(self, path: str, data: bytes) -> None:
        """Atomic and durable replacement."""
        write_durably(self.root / path, data)

    def free_bytes(self) -> int:
        """From statvfs."""
        fault = None if _FAULTS is None else _FAULTS.disk(str(self.root))
        if fault is not None and fault.full:
            return 0
        status = os.statvfs(self.root)
        return status.f_bavail * status.f_frsize


def boot_id() -> bytes:
    """Identity of the running kernel; empty when it cannot be known.

    What processes wrote without a sync is whole for as long as it stays the same.
    """
    with contextlib.suppress(OSError):
        return BOOT_ID.read_bytes().strip()
    return b""


def make_directory(path: Path) -> None:
    """Create a directory and its parents, private to the owner; each new name is made durable."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True, mode=0o700)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make names created in or removed from `path` durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_durably(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace `path` with `data`: temporary file, fsync, rename, fsync of the directory.

    Raises OSError; what was there before is then still there, and nothing else is left behind.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            _write_all(fd, [data], 0)
            os.fsync(fd)
        finally:
            os.close(fd)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)
