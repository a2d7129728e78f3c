"""How much of every log object is still in use, and which may go. Pure.

Only objects of the volume's own part of the log are counted, in pages that go with their last object: numbers grow for
ever, what exists does not. An object without live blocks is dead; its death is the position at which the map gave
up its last block (its own number if it never had data).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.errors import Corrupt

_MOVED = 1 << 15
_SIZE = _MOVED - 1
PAGE = 1024
_OBJECT = np.dtype([("number", "<u8"), ("size", "<u2")])
_HEAD_BYTES = 32

Numbers = NDArray[np.int64]


class Held(NamedTuple):
    """A position that must stay readable, from its checkpoint on."""

    position: int
    checkpoint: int


class _Page:
    """Counts of PAGE neighbours. `sizes`: blocks + 1 and whether the collector wrote it; 0: there is none."""

    __slots__ = ("count", "live", "sizes")

    def __init__(self) -> None:
        self.count = 0
        self.sizes: NDArray[np.uint16] = np.zeros(PAGE, np.uint16)
        self.live: NDArray[np.uint16] = np.zeros(PAGE, np.uint16)


class Objects(NamedTuple):
    """Objects that exist, by number: blocks of data, and how many of them the map names."""

    numbers: Numbers
    sizes: Numbers
    live: Numbers


class Ledger:
    """Counts by entry number, from `first` on."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.deaths: dict[int, int] = {}
        self.blocks = 0
        self.live_blocks = 0
        self.dead_blocks = 0  # of objects without live ones
        self._pages: dict[int, _Page] = {}

    @property
    def object_count(self) -> int:
        """Objects that exist."""
        return sum(page.count for page in self._pages.values())

    @property
    def memory_bytes(self) -> int:
        """What the counts take."""
        return 4 * PAGE * len(self._pages) + 100 * len(self.deaths)

    # -- what happens --------------------------------------------------------------------------

    def born(self, number: int, blocks: int, *, moved: bool) -> None:
        """An entry is in the log; none of its blocks is in the map yet."""
        self._put(number, blocks + 1 | (_MOVED if moved else 0))
        self.blocks += blocks
        self.dead_blocks += blocks
        self.deaths[number] = number

    def _put(self, number: int, size: int) -> None:
        page = self._pages.get(number // PAGE)
        if page is None:
            page = self._pages[number // PAGE] = _Page()
        page.count += 1
        page.sizes[number % PAGE] = size

    def _size(self, number: int) -> int:
        """Blocks of data of an object; 0 when there is none."""
        page = self._pages.get(number // PAGE)
        return 0 if page is None else max(0, int(page.sizes[number % PAGE] & _SIZE) - 1)

    def size_of(self, numbers: Sequence[int]) -> int:
        """Blocks of some objects together."""
        return sum(self._size(number) for number in numbers)

    def live_of(self, number: int) -> int:
        """Blocks of an object that the map names."""
        page = self._pages.get(number // PAGE)
        return 0 if page is None else int(page.live[number % PAGE])

    def moved(self, number: int) -> bool:
        """The object was written by the collector."""
        page = self._pages.get(number // PAGE)
        return page is not None and bool(page.sizes[number % PAGE] & _MOVED)

    def gained(self, number: int, count: int) -> None:
        """The map names so many more blocks of an object."""
        if number < self.first or not count:
            return
        self._pages[number // PAGE].live[number % PAGE] += count
        self.live_blocks += count
        if self.deaths.pop(number, None) is not None:
            self.dead_blocks -= self._size(number)

    def lost(self, displaced: Mapping[int, int], position: int) -> None:
        """Entry `position` took so many blocks of each object out of the map."""
        for number, count in displaced.items():
            if number < self.first:
                continue
            live = self._pages[number // PAGE].live
            left = int(live[number % PAGE]) - count
            assert left >= 0
            live[number % PAGE] = left
            self.live_blocks -= count
            if not left:
                self.deaths[number] = position
                self.dead_blocks += self._size(number)

    def removed(self, number: int) -> None:
        """An object has gone."""
        page = self._pages.get(number // PAGE)
        if page is None or not page.sizes[number % PAGE]:
            return
        size = self._size(number)
        self.blocks -= size
        if self.deaths.pop(number, None) is not None:
            self.dead_blocks -= size
        page.sizes[number % PAGE] = 0
        page.count -= 1
        if not page.count:
            del self._pages[number // PAGE]

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

    def objects(self, low: int, high: int) -> Objects:
        """Those with numbers in [low, high), in order."""
        numbers, sizes, live = [], [], []
        for at in sorted(self._pages):
            if (at + 1) * PAGE <= low or at * PAGE >= high:
                continue
            page = self._pages[at]
            found = np.flatnonzero(page.sizes)
            known = found + at * PAGE
            inside = (known >= low) & (known < high)
            found = found[inside]
            numbers.append(known[inside])
            sizes.append((page.sizes[found] & _SIZE).astype(np.int64) - 1)
            live.append(page.live[found].astype(np.int64))
        if not numbers:
            none = np.zeros(0, np.int64)
            return Objects(none, none, none)
        return Objects(np.concatenate(numbers), np.concatenate(sizes), np.concatenate(live))

    def any_in(self, low: int, high: int) -> bool:
        """An object with a number in [low, high) exists."""
        return bool(len(self.objects(low, high).numbers))

    def garbage(self, above: int) -> int:
        """Dead blocks in objects after a position that still hold live ones."""
        if above < self.first:
            return self.blocks - self.live_blocks - self.dead_blocks
        found = self.objects(above + 1, 1 << 62)
        return int((found.sizes - found.live)[found.live > 0].sum())

    def victims(self, blocks_max: int, *, above: int, below: int, overhead: int) -> list[int]:
        """Objects worth copying away, best first, with together at most `blocks_max` live blocks.

        Best is who frees most for what is copied; `overhead` blocks are counted for being an object at all.
        Only objects between `above` and `below` are taken.
        """
        found = self.objects(above + 1, below)
        some = (found.live > 0) & (found.live < found.sizes)
        numbers, sizes, live = found.numbers[some], found.sizes[some], found.live[some]
        order = np.argsort(live / (sizes + overhead), kind="stable")
        total = np.cumsum(live[order])
        return [int(number) for number in numbers[order][total <= blocks_max]]

    def small(self, blocks: int, *, above: int, below: int) -> Numbers:
        """Objects with live blocks, and of at most so many at all, between two positions; oldest first."""
        found = self.objects(above + 1, below)
        return found.numbers[(found.live > 0) & (found.sizes <= blocks)]

    # -- on disk -------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """Objects with their sizes, and deaths."""
        deaths = np.array(sorted(self.deaths.items()), dtype="<u8").reshape(-1, 2)
        rows = []
        for at, page in sorted(self._pages.items()):
            found = np.flatnonzero(page.sizes)
            row = np.empty(len(found), _OBJECT)
            row["number"], row["size"] = found + at * PAGE, page.sizes[found]
            rows.append(row.tobytes())
        head = np.array([self.first, self.object_count, len(deaths), 0], dtype="<u8")
        return b"".join((head.tobytes(), deaths.tobytes(), *rows))

    @staticmethod
    def decode(raw: bytes | memoryview, live: Mapping[int, int]) -> Ledger:
        """With the counts of the map that it belongs to. Raises Corrupt("BadLedger")."""
        if len(raw) < _HEAD_BYTES:
            raise Corrupt("BadLedger", "the ledger of a volume is cut short")
        first, count, dead, _ = (int(one) for one in np.frombuffer(raw, "<u8", 4))
        wanted = _HEAD_BYTES + 16 * dead + _OBJECT.itemsize * count
        if len(raw) != wanted or not 0 < first < 1 << 48:
            raise Corrupt("BadLedger", "the ledger of a volume contradicts itself")
        ledger = Ledger(first)
        pairs = np.frombuffer(raw, "<u8", 2 * dead, _HEAD_BYTES).reshape(-1, 2).tolist()
        objects = np.frombuffer(raw, _OBJECT, count, _HEAD_BYTES + 16 * dead)
        ledger._fill(objects["number"].astype(np.int64), objects["size"].astype(np.uint16))
        ledger.deaths = dict(pairs)
        ledger.recount(live)
        return ledger

    def _fill(self, numbers: Numbers, sizes: NDArray[np.uint16]) -> None:
        """Take objects in order of their numbers. Raises Corrupt("BadLedger")."""
        if not len(numbers):
            return
        sound = bool((np.diff(numbers) > 0).all()) and self.first <= int(numbers[0])
        if not sound or not bool((sizes & _SIZE).all()):
            raise Corrupt("BadLedger", "the ledger of a volume names what cannot be")
        self.blocks = int(((sizes & _SIZE).astype(np.int64) - 1).sum())
        pages = numbers // PAGE
        cuts = [0, *(np.flatnonzero(np.diff(pages)) + 1).tolist(), len(numbers)]
        for low, high in pairwise(cuts):
            page = self._pages[int(pages[low])] = _Page()
            page.sizes[numbers[low:high] % PAGE] = sizes[low:high]
            page.count = high - low

    def rebase(self, live: Mapping[int, int], position: int) -> None:
        """Another map is true from a position on: what it does not name died there at the latest."""
        for number in self.objects(self.first, 1 << 62).numbers.tolist():
            if live.get(number):
                self.deaths.pop(number, None)
            else:
                self.deaths.setdefault(number, position)
        self.recount(live)

    def recount(self, live: Mapping[int, int]) -> None:
        """Take the counts of a map."""
        for page in self._pages.values():
            page.live[:] = 0
        self.live_blocks = 0
        self.dead_blocks = sum(self._size(number) for number in self.deaths)
        for number, blocks in live.items():
            there = self._pages.get(number // PAGE)
            if there is not None and there.sizes[number % PAGE]:
                there.live[number % PAGE] = blocks
                self.live_blocks += blocks
