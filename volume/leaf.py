"""The map of a fixed span of a volume: as coarse and as narrow as what it holds allows. Pure.

A leaf keeps one number for each granule (a power of two of blocks whose places follow each other). Four bytes are
enough while its objects lie within 4 million of each other: then places are kept relative to a base.
A write that does not fit the granule splits the leaf, `coarsen` joins what has become regular again.
"""

from __future__ import annotations

import struct

import numpy as np

from core.errors import Corrupt
from volume.place import HOLE, NEVER, OFFSET_BITS, Places, data_mask, holds_data

_HEAD = struct.Struct("<IBxxxQ")  # granule, bytes of a number, base
NARROW_SPAN = 1 << (32 - OFFSET_BITS)  # objects that a narrow leaf can tell apart
DATA_GRANULE_MAX = 512

Values = np.ndarray[tuple[int], np.dtype[np.uint32 | np.uint64]]
Displaced = dict[int, int]  # object number -> blocks of it


def low_bit(number: int) -> int:
    """The largest power of two that divides it; 0 for 0."""
    return number & -number


class Leaf:
    """Places of `blocks` blocks."""

    __slots__ = ("base", "blocks", "granule", "values")

    def __init__(self, blocks: int, granule: int, base: int) -> None:
        self.blocks = blocks
        self.granule = granule
        self.base = base  # a place: what is subtracted from every number but NEVER
        self.values: Values = np.zeros(blocks // granule, dtype=np.uint32)

    @staticmethod
    def suited(blocks: int, low: int, count: int, place: int) -> Leaf:
        """An empty one that takes this run without being split."""
        granule = min(low_bit(low | count | blocks), blocks)
        if holds_data(place):
            granule = min(granule, DATA_GRANULE_MAX)
        return Leaf(blocks, granule, max(0, (place >> OFFSET_BITS) - 1) << OFFSET_BITS)

    @property
    def memory_bytes(self) -> int:
        """What its numbers take."""
        return self.values.nbytes

    def place(self, index: int) -> int:
        """Of one block."""
        value = int(self.values[index // self.granule])
        if value == NEVER:
            return NEVER
        value += self.base
        return value + index % self.granule if value & HOLE != HOLE else value

    def places(self, low: int, high: int) -> Places:
        """Of blocks [low, high)."""
        granule = self.granule
        first = low // granule
        values = self.values[first : -(-high // granule)].astype(np.uint64)
        values[values != NEVER] += np.uint64(self.base)
        if granule == 1:
            return values
        spread = np.repeat(values, granule)
        steps = np.tile(np.arange(granule, dtype=np.uint64), len(values))
        spread += steps * data_mask(spread)
        return spread[low - first * granule : high - first * granule]

    def granule_places(self) -> Places:
        """Of the first block of every granule."""
        values = self.values.astype(np.uint64)
        values[values != NEVER] += np.uint64(self.base)
        return values

    def assign(self, low: int, count: int, place: int) -> None:
        """Blocks from `low` on lie at `place` and after it, or are all holes of one entry."""
        self._admit(place)
        granule = self.granule
        if granule > 1 and (low | count) & (granule - 1):
            self._refine(low_bit(low | count | granule))
            granule = self.granule
        first, number = low // granule, count // granule
        value = place - self.base
        if number == 1:
            self.values[first] = value
        elif holds_data(place):
            self.values[first : first + number] = np.arange(
                value, value + count, granule, dtype=np.uint64
            )
        else:
            self.values[first : first + number] = value

    def _admit(self, place: int) -> None:
        """Widen when the place cannot be told relative to the base."""
        if self.values.dtype == np.uint64:
            return
        distance = (place >> OFFSET_BITS) - (self.base >> OFFSET_BITS)
        if not 0 < distance < NARROW_SPAN:
            wide = self.values.astype(np.uint64)
            wide[wide != NEVER] += np.uint64(self.base)
            self.values, self.base = wide, 0

    def _refine(self, granule: int) -> None:
        spread = self.places(0, self.blocks)[::granule]
        if self.values.dtype == np.uint32:
            spread[spread != NEVER] -= np.uint64(self.base)
            self.values = spread.astype(np.uint32)
        else:
            self.values = np.ascontiguousarray(spread)
        self.granule = granule

    def coarsen(self) -> None:
        """Take the coarsest granule and the narrowest numbers that still say the same."""
        while self.granule < self.blocks and self._joins():
            self.values = np.ascontiguousarray(self.values[::2])
            self.granule *= 2
        if self.values.dtype == np.uint64 and len(self.values):
            self._narrow()

    def _joins(self) -> bool:
        values = self.granule_places()
        left, right = values[::2], values[1::2]
        steps = data_mask(left) * np.uint64(self.granule)
        if self.granule >= DATA_GRANULE_MAX and bool(steps.any()):
            return False
        return bool(np.all((right == left + steps) & (data_mask(right) == data_mask(left))))

    def _narrow(self) -> None:
        known = self.values[self.values != NEVER]
        if not len(known):
            self.values, self.base = self.values.astype(np.uint32), 0
            return
        base = (int(known.min()) >> OFFSET_BITS) - 1
        if (int(known.max()) >> OFFSET_BITS) - base < NARROW_SPAN:
            narrow = self.values.astype(np.uint64)
            narrow[narrow != NEVER] -= np.uint64(base << OFFSET_BITS)
            self.values, self.base = narrow.astype(np.uint32), base << OFFSET_BITS

    # -- on disk -------------------------------------------------------------------------------

    def encode(self) -> bytes:
        """Little-endian: head, then the numbers."""
        width = self.values.dtype.itemsize
        kind = "<u4" if width == 4 else "<u8"
        head = _HEAD.pack(self.granule, width, self.base)
        return head + self.values.astype(kind, copy=False).tobytes()

    @staticmethod
    def decode(blocks: int, raw: bytes | memoryview) -> Leaf:
        """Raises Corrupt("BadLeaf")."""
        if len(raw) < _HEAD.size:
            raise Corrupt("BadLeaf", "a leaf of a map is cut short")
        granule, width, base = _HEAD.unpack_from(raw)
        sound = granule and granule <= blocks and not blocks % granule and width in {4, 8}
        if not sound or len(raw) != _HEAD.size + blocks // granule * width:
            raise Corrupt("BadLeaf", "a leaf of a map contradicts itself")
        leaf = Leaf(blocks, granule, base)
        kind = "<u4" if width == 4 else "<u8"
        leaf.values = np.frombuffer(raw, kind, offset=_HEAD.size).astype(
            np.uint32 if width == 4 else np.uint64
        )
        return leaf


def count_objects(places: Places, granule: int, counts: Displaced) -> None:
    """Add the blocks of each object that is named; every number stands for `granule` of them."""
    objects = places[data_mask(places)] >> np.uint64(OFFSET_BITS)
    if not len(objects):
        return
    if objects[0] == objects[-1] and bool((objects == objects[0]).all()):
        number = int(objects[0])
        counts[number] = counts.get(number, 0) + len(objects) * granule
        return
    numbers, amounts = np.unique(objects, return_counts=True)
    for number, amount in zip(numbers.tolist(), amounts.tolist(), strict=True):
        counts[number] = counts.get(number, 0) + amount * granule
