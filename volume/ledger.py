"""How much of every log object is still in use, and which may go. Pure.

Only objects of the volume's own part of the log are counted. An object without live blocks is dead; its death is the
position at which the map gave up its last block (its own number if it never had data).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import Corrupt

_MOVED = 1 << 15
_FIRST_ROOM = 256


class Held(NamedTuple):
    """A position that must stay readable, from its checkpoint on."""

    position: int
    checkpoint: int


class Ledger:
    """Counts by entry number, from `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.top = first  # one beyond the newest
        self._sizes: NDArray[np.uint16] = np.zeros(_FIRST_ROOM, np.uint16)  # blocks + 1, 0: gone
        self._live: NDArray[np.uint16] = np.zeros(_FIRST_ROOM, np.uint16)
        self.deaths: dict[int, int] = {}
        self.blocks = 0
        self.live_blocks = 0
        self.dead_blocks = 0  # of objects without live ones

    @property
    def object_count(self) -> int:
        """Objects that exist."""
        return int(np.count_nonzero(self._sizes))

    @property
    def memory_bytes(self) -> int:
        """What the counts take."""
        return self._sizes.nbytes + self._live.nbytes + 100 * len(self.deaths)

    def _index(self, number: int) -> int:
        index = number - self.first
        if index >= len(self._sizes):
            room = max(2 * len(self._sizes), index + 1)
            for name in ("_sizes", "_live"):
                grown = np.zeros(room, np.uint16)
                old = getattr(self, name)
                grown[: len(old)] = old
                setattr(self, name, grown)
        return index

    def born(self, number: int, blocks: int, *, moved: bool) -> None:
        """An entry is in the log; none of its blocks is in the map yet."""
        index = self._index(number)
        self._sizes[index] = blocks + 1 | (_MOVED if moved else 0)
        self.top = max(self.top, number + 1)
        self.blocks += blocks
        self.dead_blocks += blocks
        self.deaths[number] = number

    def passed(self, number: int) -> None:
        """An entry is in the log that never goes."""
        self._index(number)
        self.top = max(self.top, number + 1)

    def _size(self, index: int) -> int:
        """Blocks of data of an object that exists."""
        return max(0, int(self._sizes[index] & (_MOVED - 1)) - 1)

    def size_of(self, numbers: Sequence[int]) -> int:
        """Blocks of some objects of it together."""
        return sum(self._size(number - self.first) for number in numbers)

    def gained(self, number: int, count: int) -> None:
        """The map names so many more blocks of an object."""
        if number < self.first or not count:
            return
        index = self._index(number)
        self._live[index] += count
        self.live_blocks += count
        if self.deaths.pop(number, None) is not None:
            self.dead_blocks -= self._size(index)

    def lost(self, displaced: Mapping[int, int], position: int) -> None:
        """Entry `position` took so many blocks of each object out of the map."""
        for number, count in displaced.items():
            if number < self.first:
                continue
            index = number - self.first
            left = int(self._live[index]) - count
            assert left >= 0
            self._live[index] = left
            self.live_blocks -= count
            if not left:
                self.deaths[number] = position
                self.dead_blocks += self._size(index)

    def moved(self, number: int) -> bool:
        """The object was written by the collector."""
        if not self.first <= number < self.top:
            return False
        return bool(self._sizes[number - self.first] & _MOVED)

    def removed(self, number: int) -> None:
        """An object has gone."""
        if not self.first <= number < self.top:
            return
        index = number - self.first
        size = self._size(index)
        self.blocks -= size
        self._sizes[index] = 0
        if self.deaths.pop(number, None) is not None:
            self.dead_blocks -= size

    # -- which may go --------------------------------------------------------------------------

    def removable(self, held: Sequence[Held], limit: int) -> list[int]:
        """Dead objects that no held position reads, neither as data nor when it is recovered.

        `limit`: deaths after it do not count (the newest durable checkpoint, or where a retention window begins).
        """
        count = len(self.deaths)
        numbers = np.fromiter(self.deaths.keys(), np.int64, count)
        deaths = np.fromiter(self.deaths.values(), np.int64, count)
        free = (deaths <= limit) & (numbers <= limit)
        for one in held:
            reads = (one.position < deaths) | (numbers > one.checkpoint)
            free &= ~((numbers <= one.position) & reads)
        return [int(number) for number in np.sort(numbers[free])]

    def garbage(self, above: int) -> int:
        """Dead blocks in objects after a position that still hold live ones."""
        skip = max(0, above + 1 - self.first)
        if skip == 0:
            return self.blocks - self.live_blocks - self.dead_blocks
        count = self.top - self.first
        sizes = (self._sizes[skip:count] & (_MOVED - 1)).astype(np.int64) - 1
        live = self._live[skip:count]
        return int((sizes - live)[live > 0].sum())

    def victims(self, blocks_max: int, *, above: int, below: int, overhead: int) -> list[int]:
        """Objects worth copying away, best first, with together at most `blocks_max` live blocks.

        Best is who frees most for what is copied; `overhead` blocks are counted for being an object at all, so that
        many small ones are worth being merged. Only objects between `above` and `below` are taken.
        """
        count = max(0, min(self.top, below) - self.first)
        sizes = (self._sizes[:count] & (_MOVED - 1)).astype(np.int64) - 1
        live = self._live[:count].astype(np.int64)
        live[: max(0, above + 1 - self.first)] = 0
        found = np.flatnonzero((live > 0) & (live < sizes))
        use = live[found] / (sizes[found] + overhead)
        found = found[np.argsort(use, kind="stable")]
        total = np.cumsum(live[found])
        taken = [int(one) + self.first for one in found[total <= blocks_max]]
        return taken or [int(one) + self.first for one in found[:1]]

    def small(self, blocks: int, *, above: int, below: int) -> NDArray[np.int64]:
        """Objects with live blocks, and of at most so many at all, between two positions; oldest first."""
        low = max(0, above + 1 - self.first)
        high = max(low, min(self.top, below) - self.first)
        sizes = (self._sizes[low:high] & (_MOVED - 1)).astype(np.int64) - 1
        found = np.flatnonzero((self._live[low:high] > 0) & (sizes <= blocks))
        return found + (low + self.first)

    def live_of(self, number: int) -> int:
        """Blocks of an object that the map names."""
        return int(self._live[number - self.first]) if self.first <= number < self.top else 0

    # -- on disk -------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """Sizes and deaths; what is live follows from the map."""
        count = self.top - self.first
        deaths = np.array(sorted(self.deaths.items()), dtype="<u8").reshape(-1, 2)
        head = np.array([self.first, count, len(deaths)], dtype="<u8")
        sizes = self._sizes[:count].astype("<u2")
        return head.tobytes() + deaths.tobytes() + sizes.tobytes()

    @staticmethod
    def decode(raw: bytes | memoryview, live: Mapping[int, int]) -> Ledger:
        """With the counts of the map that it belongs to. Raises Corrupt("BadLedger")."""
        if len(raw) < 24:
            raise Corrupt("BadLedger", "the ledger of a volume is cut short")
        first, count, dead = (int(one) for one in np.frombuffer(raw, "<u8", 3))
        if len(raw) != 24 + 16 * dead + 2 * count or first < 1:
            raise Corrupt("BadLedger", "the ledger of a volume contradicts itself")
        ledger = Ledger(first)
        ledger.top = first + count
        if count:
            ledger._index(first + count - 1)
        ledger._sizes[:count] = np.frombuffer(raw, "<u2", count, 24 + 16 * dead)
        pairs = np.frombuffer(raw, "<u8", 2 * dead, 24).reshape(-1, 2).tolist()
        ledger.deaths = {int(number): int(death) for number, death in pairs}
        known = ledger._sizes[:count]
        ledger.blocks = int(((known[known > 0] & (_MOVED - 1)).astype(np.int64) - 1).sum())
        ledger.recount(live)
        return ledger

    def rebase(self, live: Mapping[int, int], position: int) -> None:
        """Another map is true from a position on: what it does not name died there at the latest."""
        for number in range(self.first, self.top):
            if not self._sizes[number - self.first]:
                continue
            if live.get(number):
                self.deaths.pop(number, None)
            else:
                self.deaths.setdefault(number, position)
        self.recount(live)

    def recount(self, live: Mapping[int, int]) -> None:
        """Take the counts of a map."""
        self._live[:] = 0
        self.live_blocks = 0
        indices = (number - self.first for number in self.deaths)
        self.dead_blocks = sum(self._size(index) for index in indices)
        for number, blocks in live.items():
            if self.first <= number < self.top:
                self._live[number - self.first] = blocks
                self.live_blocks += blocks
