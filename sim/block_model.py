"""What the content of volumes may be: every state that a crash is allowed to leave.

A volume's content is an array with one number for each block: which write put it there (0: zeros). Its history is the
list of contents after each write; a crash may leave any of them from the last completed flush on. A snapshot is
settled by the first reading of it, and has to stay that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from volume.port import BLOCK_BYTES

Content = NDArray[np.uint64]
WORDS = BLOCK_BYTES // 8
MUST, MAY, NOT = "must", "may", "not"


class Allowed(NamedTuple):
    """Of a volume or a snapshot at a point: whether it is there, and contents it may have."""

    exists: str
    history: list[Content]
    low: int
    high: int

    def verdict(self, found: Content | None) -> str | None:
        """What is wrong, or None."""
        if found is None:
            return "is gone" if self.exists == MUST else None
        if self.exists == NOT:
            return "is there"
        for content in self.history[self.low : self.high + 1]:
            if np.array_equal(content, found):
                return None
        return f"is none of the {self.high + 1 - self.low} contents it may have"


class Expected(NamedTuple):
    """Of everything, at a point. Snapshots by (volume, snapshot)."""

    volumes: dict[str, Allowed]
    snapshots: dict[tuple[str, str], Allowed]


class VolumeModel:
    """One volume as the workload knows it."""

    def __init__(self, content: Content) -> None:
        self.history = [content]
        self.flushed = 0
        self.exists = MAY

    @property
    def content(self) -> Content:
        """After everything that was written."""
        return self.history[-1]

    @property
    def issued(self) -> int:
        """Index of the latest write."""
        return len(self.history) - 1

    def allowed(self) -> Allowed:
        """What a crash may leave now."""
        return Allowed(self.exists, self.history, self.flushed, self.issued)

    def written(self, block: int, count: int, number: int) -> None:
        """A write (or with 0 a zero) is about to be issued."""
        content = self.content.copy()
        content[block : block + count] = number
        self.history.append(content)

    def replaced(self, content: Content) -> None:
        """A change of everything is about to be made."""
        self.history.append(content)

    def settle(self, found: Content) -> str | None:
        """A new attachment has read this; what was written after it is lost. Says what is wrong."""
        wrong = self.allowed().verdict(found)
        self.history = [found]
        self.flushed = 0
        return wrong


def block_data(number: int, count: int) -> bytes:
    """Blocks that say which write they are of."""
    return number.to_bytes(8, "little") * (WORDS * count)


def content_of(data: bytes) -> Content | None:
    """The content that bytes show; None when a block is of several writes."""
    words = np.frombuffer(data, "<u8").reshape(-1, WORDS)
    if not bool((words == words[:, :1]).all()):
        return None
    return words[:, 0].astype(np.uint64)
