"""Scratch files of conversions: one for what goes into the tool and one for what comes out of it.

They live below `DATA/scratch`, are opened once and unlinked at once, so that nothing of them outlives the process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from core.jail import NOBODY


class ScratchFile:
    """An open file without a name. Blocking: call it through `Env.offload`."""

    def __init__(self, directory: Path, name: str) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = directory / name
        path.unlink(missing_ok=True)
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._reader: int | None = None
        try:
            self._reader = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        finally:
            path.unlink()

    def write(self, offset: int, data: bytes) -> None:
        """All bytes at an offset. Raises OSError."""
        view = memoryview(data)
        while view:
            count = os.pwrite(self.fd, view, offset)
            view, offset = view[count:], offset + count

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at an offset, fewer at the end."""
        return os.pread(self.fd, length, offset)

    def size(self) -> int:
        """Bytes."""
        return os.fstat(self.fd).st_size

    def grant(self) -> None:
        """Let the caged user write it."""
        if os.geteuid() == 0:
            os.fchown(self.fd, NOBODY, NOBODY)

    def readable(self) -> int:
        """A descriptor that can only be read from, for the caged user."""
        assert self._reader is not None
        os.fchmod(self.fd, 0o444)
        return self._reader

    def data_runs(self) -> Iterator[tuple[int, int]]:
        """Offsets and lengths of what is no hole."""
        end, offset = self.size(), 0
        while offset < end:
            try:
                begin = os.lseek(self.fd, offset, os.SEEK_DATA)
            except OSError:  # ENXIO: nothing but a hole follows
                return
            offset = os.lseek(self.fd, begin, os.SEEK_HOLE)
            yield begin, offset - begin

    def close(self) -> None:
        """Let it go."""
        for fd in (self.fd, self._reader):
            if fd is not None:
                with contextlib.suppress(OSError):
                    os.close(fd)


def free_bytes(directory: Path) -> int:
    """Room on the file system of a directory."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
