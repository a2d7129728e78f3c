"""The index in memory: for the simulator and for tests.

`crash` gives back what a process killed now would find: everything up to the last commit. `full` makes
commits fail, as a disk without room does.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from sortedcontainers import SortedDict


class MemoryIndex:
    """A sorted dictionary with commits."""

    def __init__(self, committed: dict[bytes, bytes] | None = None) -> None:
        self._committed = dict(committed or {})
        self._rows: SortedDict = SortedDict(self._committed)
        self._touched: set[bytes] = set()
        self.full = False
        self.distrusted = False

    def get(self, key: bytes) -> bytes | None:
        """Value or None."""
        value: bytes | None = self._rows.get(key)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Set."""
        assert 0 < len(key) <= 511, "keys are 1-511 bytes"
        self._rows[key] = value
        self._touched.add(key)

    def delete(self, key: bytes) -> None:
        """Remove."""
        self._rows.pop(key, None)
        self._touched.add(key)

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs in order."""
        for key in self._rows.irange(start, end, (True, False), reverse):
            yield key, self._rows[key]

    def commit(self) -> None:
        """Keep everything, or nothing when there is no room."""
        if self.full and self._touched:
            self._rows = SortedDict(self._committed)
            self._touched.clear()
            raise OSError(errno.ENOSPC, "no space left on device")
        for key in self._touched:
            if key in self._rows:
                self._committed[key] = self._rows[key]
            else:
                self._committed.pop(key, None)
        self._touched.clear()

    def crash(self) -> MemoryIndex:
        """What a new process finds."""
        return MemoryIndex(None if self.distrusted else self._committed)

    def distrust(self) -> None:
        """A new process finds nothing."""
        self.distrusted = True

    def close(self, *, clean: bool) -> None:
        """Forget what was not committed."""
        del clean
        self._rows = SortedDict(self._committed)
        self._touched.clear()
