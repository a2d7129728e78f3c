"""Where a block of a volume lies: one number for object and offset. Pure.

A place is `object number << 10 | offset`, the offset counted in blocks from the start of the object's data. Object
numbers are the log's sequence numbers and begin at 1, so place 0 means: never written. The offset HOLE
means that the log entry of that number made the block zero. Arrays of places are numpy's uint64.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.uint64]

OFFSET_BITS = 10
HOLE = (1 << OFFSET_BITS) - 1
DATA_BLOCKS_MAX = 1008  # of one log object: with the longest footer it still is one stripe
NEVER = 0

assert DATA_BLOCKS_MAX < HOLE


class Run(NamedTuple):
    """`length` blocks from `block` on that lie one after the other (or are all holes) from `place` on."""

    block: int
    length: int
    place: int

    @property
    def object_number(self) -> int:
        """The log entry that wrote it; 0 when nobody did."""
        return self.place >> OFFSET_BITS

    @property
    def offset(self) -> int:
        """First block of it in the data of its object."""
        return self.place & HOLE

    @property
    def data(self) -> bool:
        """Something is stored."""
        return holds_data(self.place)


def place_of(object_number: int, offset: int) -> int:
    """The place of a block of an object."""
    return object_number << OFFSET_BITS | offset


def holds_data(place: int) -> bool:
    """Neither a hole nor never written."""
    return place != NEVER and place & HOLE != HOLE


def data_mask(places: Places) -> NDArray[np.bool_]:
    """Which of them hold data."""
    mask: NDArray[np.bool_] = (places != NEVER) & (places & np.uint64(HOLE) != HOLE)
    return mask


def runs_of(first: int, places: Places) -> list[Run]:
    """Blocks from `first` on as runs."""
    count = len(places)
    if count <= 1:
        return [Run(first, 1, int(places[0]))] if count else []
    steps = data_mask(places).astype(np.uint64)
    follows = (places[1:] == places[:-1] + steps[:-1]) & (steps[1:] == steps[:-1])
    cuts = [0, *(np.flatnonzero(~follows) + 1).tolist(), count]
    return [Run(first + low, high - low, int(places[low])) for low, high in pairwise(cuts)]
