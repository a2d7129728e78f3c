"""Writes that are not in the log yet: gathered, read back, sealed into one entry. Pure.

A batch becomes one log entry, so it takes effect as a whole; a block written twice in it is stored once. Written and
zeroed blocks of one batch never overlap: whoever wants to mix them seals it and begins another.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from volume.entry import DATA, RUNS_MAX, Entry, Written
from volume.place import DATA_BLOCKS_MAX, HOLE
from volume.port import BLOCK_BYTES

ZERO_RUNS_MAX = RUNS_MAX - DATA_BLOCKS_MAX
COUNT_MAX = (1 << 32) - 1
ZERO_STRETCH = 16
STRETCHES_MAX = DATA_BLOCKS_MAX // ZERO_STRETCH + 1  # that one write of a batch can have
_ZEROS = bytes(ZERO_STRETCH * BLOCK_BYTES)


class Batch:
    """At most `blocks_max` written blocks and some zeroed runs."""

    def __init__(self, blocks_max: int = DATA_BLOCKS_MAX) -> None:
        self.blocks_max = blocks_max
        self.data = bytearray()
        self.slots: dict[int, int] = {}  # block -> where in `data`, in blocks; in order of both
        self.zeros: list[tuple[int, int]] = []

    @property
    def empty(self) -> bool:
        """Nothing was put in."""
        return not self.slots and not self.zeros

    @property
    def full(self) -> bool:
        """No further block fits."""
        return len(self.slots) >= self.blocks_max

    def room(self, block: int, count: int) -> bool:
        """`write` may be called with this run."""
        if any(block < low + size and low < block + count for low, size in self.zeros):
            return False
        if len(self.slots) + count <= self.blocks_max:
            return True
        known = sum(one in self.slots for one in range(block, block + count))
        return len(self.slots) + count - known <= self.blocks_max

    def write(self, block: int, data: memoryview) -> None:
        """Take whole blocks for which there is room."""
        count = len(data) // BLOCK_BYTES
        slots = self.slots
        if slots.keys().isdisjoint(range(block, block + count)):
            first = len(slots)
            self.data += data
            slots.update(zip(range(block, block + count), range(first, first + count), strict=True))
            return
        for number in range(count):
            piece = data[number * BLOCK_BYTES : (number + 1) * BLOCK_BYTES]
            slot = slots.setdefault(block + number, len(slots))
            self.data[slot * BLOCK_BYTES : (slot + 1) * BLOCK_BYTES] = piece

    def room_for_zeros(self, block: int, count: int) -> bool:
        """`zero` may be called with this run."""
        if len(self.zeros) + STRETCHES_MAX > ZERO_RUNS_MAX or count > COUNT_MAX:
            return False
        if count <= len(self.slots):
            return self.slots.keys().isdisjoint(range(block, block + count))
        return not any(block <= one < block + count for one in self.slots)

    def zero(self, block: int, count: int) -> None:
        """Take a run to be made zero."""
        if self.zeros and self.zeros[-1][0] + self.zeros[-1][1] == block:
            low, size = self.zeros[-1]
            if size + count <= COUNT_MAX:
                self.zeros[-1] = (low, size + count)
                return
        self.zeros.append((block, count))

    def zeroed(self, block: int) -> bool:
        """The batch makes this block zero."""
        return any(low <= block < low + size for low, size in self.zeros)

    def runs(self) -> list[Written]:
        """What the entry will say."""
        written: list[Written] = []
        if self.slots:
            blocks = np.fromiter(self.slots, np.int64, len(self.slots))
            cuts = [0, *(np.flatnonzero(np.diff(blocks) != 1) + 1).tolist(), len(blocks)]
            written = [Written(int(blocks[low]), high - low, low) for low, high in pairwise(cuts)]
        return written + [Written(low, size, HOLE) for low, size in self.zeros]

    def entry(self, branch: str, sequence: int, time_us: int, size: int) -> Entry:
        """The entry that it becomes."""
        blocks = len(self.slots)
        return Entry(DATA, branch, sequence, time_us, size, blocks, self.runs())


def cut_zeros(block: int, data: memoryview) -> list[tuple[int, int, bool]]:
    """(block, blocks, zero) of whole blocks: stretches of ZERO_STRETCH blocks, aligned, that are all zeros.

    They need not be stored. Looking costs next to nothing: a stretch with data is known by its first bytes.
    """
    found: list[tuple[int, int, bool]] = []
    at, end = block, block + len(data) // BLOCK_BYTES
    while at < end:
        upto = min(end, (at // ZERO_STRETCH + 1) * ZERO_STRETCH)
        part = data[(at - block) * BLOCK_BYTES : (upto - block) * BLOCK_BYTES]
        zero = upto - at == ZERO_STRETCH and part == _ZEROS
        if found and found[-1][2] == zero:
            found[-1] = (found[-1][0], found[-1][1] + upto - at, zero)
        else:
            found.append((at, upto - at, zero))
        at = upto
    return found


def overlay(
    batches: Sequence[Batch], block: int, count: int, target: memoryview
) -> list[tuple[int, int]]:
    """Copy into `target` what the batches (oldest first) have of a run; returns the runs they do not have.

    `target` is all zeros before.
    """
    touching = [one for one in reversed(batches) if _touches(one, block, count)]
    if not touching:
        return [(block, count)]
    missing: list[tuple[int, int]] = []
    for one in range(block, block + count):
        if _copy(touching, one, target, (one - block) * BLOCK_BYTES):
            continue
        if missing and missing[-1][0] + missing[-1][1] == one:
            missing[-1] = (missing[-1][0], missing[-1][1] + 1)
        else:
            missing.append((one, 1))
    return missing


def _touches(batch: Batch, block: int, count: int) -> bool:
    if any(block < low + size and low < block + count for low, size in batch.zeros):
        return True
    slots = batch.slots
    if count <= len(slots):
        return not slots.keys().isdisjoint(range(block, block + count))
    return any(block <= one < block + count for one in slots)


def _copy(newest_first: Sequence[Batch], block: int, target: memoryview, at: int) -> bool:
    for batch in newest_first:
        slot = batch.slots.get(block)
        if slot is not None:
            data = batch.data[slot * BLOCK_BYTES : (slot + 1) * BLOCK_BYTES]
            target[at : at + BLOCK_BYTES] = data
            return True
        if batch.zeros and batch.zeroed(block):
            return True
    return False
