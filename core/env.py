"""The one door to the outside world: clock, chance, disk and blocking work.

Everything the data plane needs beyond asyncio (timers and sockets, which the simulator replaces by
swapping the event loop) enters through `Env`. Two makers exist: `core.real` on the operating
system and `sim.env` for the simulator. Code that takes an `Env` runs in both, from the same source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Buffer = bytes | bytearray | memoryview
T = TypeVar("T")


class File(Protocol):
    """An append-only file open for writing and reading.

    `append_synced` returns only when the bytes and the file's new length are on stable storage
    (fdatasync); when it raises, an unknown prefix of them may be. Offsets and lengths are bytes.
    """

    @property
    def size(self) -> int:
        """Length as this handle sees it, bytes."""
        ...

    async def append_synced(self, buffers: Sequence[Buffer]) -> None:
        """Append all buffers in order and sync. Raises OSError (ENOSPC, EIO, EROFS)."""
        ...

    def read_cached(self, offset: int, length: int) -> bytes | None:
        """Read without blocking; None when the bytes are not all in memory. May return fewer at the end."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """Read, waiting for the device; shorter than `length` only at the end of the file."""
        ...

    def read_now(self, offset: int, length: int) -> bytes:
        """Read, blocking: for recovery, before a node serves."""
        ...

    def truncate(self, length: int) -> None:
        """Cut the file to `length` bytes (recovery of a torn tail) and sync."""
        ...

    def close(self) -> None:
        """Release the handle; unsynced bytes keep their fate."""
        ...


class Disk(Protocol):
    """One directory tree of a device. Paths are relative, made by us, never from a user's name."""

    def make_directory(self, path: str) -> None:
        """Create a directory and its parents; existing ones are fine."""
        ...

    def list_directory(self, path: str) -> list[str]:
        """Entries, sorted; empty when the directory is missing."""
        ...

    def open_append(self, path: str) -> File:
        """Open or create a file for appending; a new name is synced into its directory."""
        ...

    def remove(self, path: str) -> None:
        """Unlink a file; missing is fine."""
        ...

    def read_file(self, path: str) -> bytes | None:
        """Whole small file, or None when missing."""
        ...

    def write_file(self, path: str, data: bytes) -> None:
        """Replace a small file atomically and durably (temporary file, sync, rename, sync directory)."""
        ...

    def free_bytes(self) -> int:
        """Space left for unprivileged writers, bytes."""
        ...


class Env(Protocol):
    """Clock, chance and blocking work of one process."""

    def wall_us(self) -> int:
        """Wall clock, microseconds since 1970 UTC. May jump; never trusted for safety."""
        ...

    def random_bytes(self, count: int) -> bytes:
        """Unpredictable bytes (ids, nonces)."""
        ...

    def random(self) -> float:
        """Uniform in [0, 1): jitter and sampling only."""
        ...

    async def offload(self, function: Callable[[], T]) -> T:
        """Run a blocking or long pure function without stalling the event loop."""
        ...

    def quirk(self, name: str) -> bool:
        """False in production; in simulation sometimes true: take a legal but nasty choice."""
        ...
