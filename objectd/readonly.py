"""A device's files, opened to be looked at: nothing on the disk changes, whatever is done with it.

What a recovery would cut off is cut off in memory only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from core.env import Buffer


class ReadOnlyFile:
    """A file that can be read; a missing one is empty."""

    def __init__(self, path: Path) -> None:
        try:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._fd = -1
        self._size = os.fstat(self._fd).st_size if self._fd >= 0 else 0

    @property
    def size(self) -> int:
        """Length, bytes."""
        return self._size

    async def append_synced(self, buffers: Sequence[Buffer]) -> None:
        """Refused."""
        del buffers
        raise OSError(errno.EROFS, "opened for reading only")

    def read_cached(self, offset: int, length: int) -> bytes | None:
        """There is nobody else to keep waiting."""
        return self.read_now(offset, length)

    async def read(self, offset: int, length: int) -> bytes:
        """Read."""
        return self.read_now(offset, length)

    def read_now(self, offset: int, length: int) -> bytes:
        """Read, as far as the file goes."""
        length = min(length, self._size - offset)
        return os.pread(self._fd, length, offset) if length > 0 else b""

    def truncate(self, length: int) -> None:
        """Look no further than this."""
        self._size = min(self._size, length)

    def close(self) -> None:
        """Close."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class ReadOnlyDisk:
    """A directory tree of a device. `free_bytes` is what it says of its room: none keeps an index as it is."""

    def __init__(self, root: Path, free_bytes: int = 0) -> None:
        self._root = root
        self._free_bytes = free_bytes

    def make_directory(self, path: str) -> None:
        """Nothing is made."""

    def list_directory(self, path: str) -> list[str]:
        """Sorted entries."""
        try:
            return sorted(entry.name for entry in (self._root / path).iterdir())
        except FileNotFoundError:
            return []

    def open_append(self, path: str) -> ReadOnlyFile:
        """Open for reading."""
        return ReadOnlyFile(self._root / path)

    def remove(self, path: str) -> None:
        """Nothing is removed."""

    def read_file(self, path: str) -> bytes | None:
        """Whole file or None. Hints are left out: who only looks looks at the log itself."""
        if path.endswith(".hint"):
            return None
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None

    def write_file(self, path: str, data: bytes) -> None:
        """Nothing is written."""

    def free_bytes(self) -> int:
        """As told."""
        return self._free_bytes
