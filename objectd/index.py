"""The index of a device: an ordered map of byte strings, derived from the log.

Two implementations obey `tests/contract/test_index.py`: `LmdbIndex` and `MemoryIndex`. A write is seen
at once by reads, and kept across a crash from the next `commit` on; a commit is all or nothing. A commit
that fails (a full disk) takes everything since the last one back, also for reads: the caller applies it
again from the log. The table of keys is in `objectd/rows.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

FORMAT = 6  # of keys and values; an index of another format is removed and built again

BAD_ROW = "BadRow"  # code of the error that says that the index is not what was written


class Index(Protocol):
    """An ordered map with commits."""

    def get(self, key: bytes) -> bytes | None:
        """Value of a key, or None."""
        ...

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key (1-511 bytes)."""
        ...

    def delete(self, key: bytes) -> None:
        """Remove a key; missing is fine."""
        ...

    def scan(
        self, start: bytes, end: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Pairs with start <= key < end in key order (or reversed). Do not write while iterating."""
        ...

    def commit(self) -> None:
        """Keep what was written so far. Raises OSError when it cannot; the index is then as last committed."""
        ...

    def distrust(self) -> None:
        """It was found not to be what was written: have it built again at the next start."""
        ...

    def close(self, *, clean: bool) -> None:
        """Close; what was not committed is lost. `clean` syncs, so that the index survives a power loss."""
        ...
