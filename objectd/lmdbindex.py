"""The index in LMDB: the only importer of lmdb.

One write transaction stays open between commits, so reads see every write without a second structure.
Commits are not synced, because the log is the truth: killing the process loses nothing that was
committed, but a power loss may tear the file. So an index is trusted only when it was closed cleanly
(synced, marked) or when the kernel that wrote it still runs (same boot id); otherwise it is removed and
rebuilt from the log, and so is one of another format. When a full disk has no room for the mark, the index works and is not trusted later.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lmdb

from core.errors import Corrupt
from core.real import boot_id, make_directory, write_durably
from objectd.index import BAD_ROW, FORMAT

MAP_BYTES = 1 << 38  # address space only
CLEAN = "clean"
LmdbError = lmdb.Error  # what it raises for a file or a file system that it cannot use


class LmdbIndex:
    """An LMDB environment in its own directory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._distrusted = False
        boot = boot_id()
        marker = path / CLEAN
        if path.exists() and not _trusted(marker, boot):
            shutil.rmtree(path)
        make_directory(path)
        try:
            write_durably(marker, _mark(boot))
        except OSError:
            marker.unlink(missing_ok=True)
        self._env: Any = lmdb.open(
            str(path),
            map_size=MAP_BYTES,
            sync=False,
            metasync=False,
            lock=False,
            readahead=False,
            max_dbs=0,
        )
        self._txn: Any = self._env.begin(write=True)

    def get(self, key: bytes) -> bytes | None:
        """Value or None. Raises Corrupt when the file is damaged."""
        try:
            value: bytes | None = self._txn.get(key)
        except lmdb.Error as error:
            raise Corrupt(BAD_ROW, f"the index cannot be read: {error}") from None
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Set."""
        self._txn.put(key, value)

    def delete(self, key: bytes) -> None:
        """Remove."""
        self._txn.delete(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs in order. Raises Corrupt when the file is damaged."""
        try:
            yield from self._scan(start, end, reverse=reverse)
        except lmdb.Error as error:
            raise Corrupt(BAD_ROW, f"the index cannot be read: {error}") from None

    def _scan(self, start: bytes, end: bytes, *, reverse: bool) -> Iterator[tuple[bytes, bytes]]:
        with self._txn.cursor() as cursor:
            if not reverse:
                if not cursor.set_range(start):
                    return
                for key, value in cursor.iternext():
                    if key >= end:
                        return
                    yield key, value
                return
            if cursor.set_range(end):
                if not cursor.prev():
                    return
            elif not cursor.last():
                return
            for key, value in cursor.iterprev():
                if key < start:
                    return
                yield key, value

    def commit(self) -> None:
        """Hand everything to the kernel and begin again."""
        try:
            self._txn.commit()
        except (
            lmdb.Error
        ) as error:  # LMDB names a full disk in several ways; the old state is whole
            raise OSError(errno.EIO, str(error)) from None
        finally:
            self._txn = self._env.begin(write=True)

    def distrust(self) -> None:
        """Without its mark it is removed at the next start."""
        self._distrusted = True
        (self._path / CLEAN).unlink(missing_ok=True)

    def close(self, *, clean: bool) -> None:
        """Drop what was not committed; when clean, sync and say so."""
        self._txn.abort()
        if clean and not self._distrusted:
            with contextlib.suppress(lmdb.Error, OSError):  # then it is trusted less, not wrong
                self._env.sync(True)
                write_durably(self._path / CLEAN, _mark(CLEAN.encode()))
        self._env.close()


def copy_trusted(path: Path, to: Path) -> bool:
    """Copy an index that nobody has open, mark and all; False when it would not be trusted."""
    if not _trusted(path / CLEAN, boot_id()):
        return False
    make_directory(to)
    env = lmdb.open(str(path), readonly=True, lock=False, max_dbs=0)
    try:
        env.copy(str(to), compact=False)
    finally:
        env.close()
    write_durably(to / CLEAN, (path / CLEAN).read_bytes())
    return True


def _trusted(marker: Path, boot: bytes) -> bool:
    try:
        written = marker.read_bytes()
    except OSError:
        return False
    return written == _mark(CLEAN.encode()) or (bool(boot) and written == _mark(boot))


def _mark(text: bytes) -> bytes:
    return b"%s %d" % (text, FORMAT)
