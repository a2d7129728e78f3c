"""Which block of a volume lies where: leaves of a fixed span, made when something is written there. Pure.

Promises: compact (docs/volumes-engine.md has the figures), exact, and quick for one block. A run that is zeroed where
nothing was ever written leaves no trace: it reads as zeros either way.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from volume.leaf import Displaced, Leaf, count_objects
from volume.place import NEVER, OFFSET_BITS, Places, Run, holds_data, runs_of

LEAF_BLOCKS = 16_384  # 64 MiB
LEAVES_COUNTED = 512  # at once


class ExtentMap:
    """The map of one volume. `dirty` has the leaves that changed since it was last emptied."""

    def __init__(self, leaf_blocks: int = LEAF_BLOCKS) -> None:
        self.leaf_blocks = leaf_blocks
        self.leaves: dict[int, Leaf] = {}
        self.dirty: set[int] = set()

    @property
    def memory_bytes(self) -> int:
        """What the numbers of all leaves take; an object costs some 250 bytes beside them."""
        return sum(leaf.memory_bytes for leaf in self.leaves.values())

    def place(self, block: int) -> int:
        """Of one block."""
        leaf = self.leaves.get(block // self.leaf_blocks)
        return NEVER if leaf is None else leaf.place(block % self.leaf_blocks)

    def places(self, block: int, count: int) -> Places:
        """Of a short run, one number a block."""
        parts = [
            np.zeros(number, np.uint64) if leaf is None else leaf.places(low, low + number)
            for leaf, low, number, _ in self._cut(block, count)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _cut(self, block: int, count: int) -> Iterator[tuple[Leaf | None, int, int, int]]:
        """(leaf, first block in it, blocks, number of the leaf) covering a run."""
        end = block + count
        while block < end:
            number, low = divmod(block, self.leaf_blocks)
            size = min(self.leaf_blocks - low, end - block)
            yield self.leaves.get(number), low, size, number
            block += size

    def runs(self, block: int, count: int) -> Iterator[Run]:
        """The same as runs, in order, neighbours of one kind joined; one leaf's worth at a time."""
        last: Run | None = None
        for leaf, low, size, number in self._cut_known(block, count):
            first = number * self.leaf_blocks + low
            if leaf is None:
                found = [Run(first, size, NEVER)]
            elif size == 1:
                found = [Run(first, 1, leaf.place(low))]
            else:
                found = runs_of(first, leaf.places(low, low + size))
            for run in found:
                if last is None:
                    last = run
                elif _follows(last, run):
                    last = last._replace(length=last.length + run.length)
                else:
                    yield last
                    last = run
        if last is not None:
            yield last

    def _cut_known(self, block: int, count: int) -> Iterator[tuple[Leaf | None, int, int, int]]:
        """As `_cut`, but with spans without leaves joined when there are fewer leaves than spans."""
        if count // self.leaf_blocks <= len(self.leaves) + 1:
            yield from self._cut(block, count)
            return
        at, end = block, block + count
        for number in sorted(self.leaves):
            first = number * self.leaf_blocks
            if first + self.leaf_blocks <= at or first >= end:
                continue
            if first > at:
                yield None, at % self.leaf_blocks, first - at, at // self.leaf_blocks
                at = first
            size = min(first + self.leaf_blocks, end) - at
            yield self.leaves[number], at - first, size, number
            at += size
        if at < end:
            yield None, at % self.leaf_blocks, end - at, at // self.leaf_blocks

    def assign(self, block: int, count: int, place: int) -> Displaced:
        """A run now lies at `place` and after it (a hole: everywhere); says what it displaced."""
        if count == 1:
            return self._assign_one(block, place)
        displaced: Displaced = {}
        cut = self._cut if holds_data(place) else self._cut_known
        for leaf, low, size, number in list(cut(block, count)):
            if leaf is None:
                if holds_data(place):
                    self._begin(number, low, size, place).assign(low, size, place)
            else:
                count_objects(leaf.places(low, low + size), 1, displaced)
                whole = size == self.leaf_blocks and not holds_data(place)
                kept = self._begin(number, low, size, place) if whole else leaf
                kept.assign(low, size, place)
                self.dirty.add(number)
            if holds_data(place):
                place += size
        return displaced

    def _begin(self, number: int, low: int, size: int, place: int) -> Leaf:
        leaf = self.leaves[number] = Leaf.suited(self.leaf_blocks, low, size, place)
        self.dirty.add(number)
        return leaf

    def _assign_one(self, block: int, place: int) -> Displaced:
        number, low = divmod(block, self.leaf_blocks)
        leaf = self.leaves.get(number)
        if leaf is None:
            if holds_data(place):
                self._begin(number, low, 1, place).assign(low, 1, place)
            return {}
        old = leaf.place(low)
        leaf.assign(low, 1, place)
        self.dirty.add(number)
        return {old >> OFFSET_BITS: 1} if holds_data(old) else {}

    def live(self) -> Displaced:
        """Blocks of every object that the map names."""
        counts: Displaced = {}
        leaves = list(self.leaves.values())
        for low in range(0, len(leaves), LEAVES_COUNTED):
            by_granule: dict[int, list[Places]] = {}
            for leaf in leaves[low : low + LEAVES_COUNTED]:
                by_granule.setdefault(leaf.granule, []).append(leaf.granule_places())
            for granule, found in by_granule.items():
                count_objects(np.concatenate(found), granule, counts)
        return counts

    def coarsen(self) -> None:
        """Compact the leaves that changed."""
        for number in self.dirty:
            self.leaves[number].coarsen()


def _follows(left: Run, right: Run) -> bool:
    if left.data:
        return right.data and right.place == left.place + left.length
    return right.place == left.place
