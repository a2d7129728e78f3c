"""What changes hands between two epochs. Pure.

A move is one replica of one partition going from one device to another. A large change has
hundreds of thousands, so they are kept as four columns of numbers and made into `Move`s on demand.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from core.errors import Refused
from ring.epoch import Epoch

CHUNK_ENTRIES = 1024  # tables are compared by this many entries before looking at single ones


class Move(NamedTuple):
    """Replica `replica` of `partition` (table of `width`) goes from device id to device id."""

    width: int
    partition: int
    replica: int
    source: int
    target: int


class Moves:
    """The moves of all tables, ordered by width, partition and replica."""

    __slots__ = ("_columns",)

    def __init__(self) -> None:
        self._columns: tuple[array[int], ...] = tuple(array(code) for code in "HIHII")

    def append(self, move: Move) -> None:
        """Add a move at the end."""
        for column, value in zip(self._columns, move, strict=True):
            column.append(value)

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Move]:
        return map(Move, *self._columns)


def moves_between(old: Epoch, new: Epoch) -> Moves:
    """All replicas that are on different devices in the two epochs, by device id.

    Tables of a width that only one epoch has are left out: nothing moves for them. Raises Refused
    when the epochs divide keys differently, because then no partition corresponds to another.
    """
    if (old.part_count, old.settings.seed) != (new.part_count, new.settings.seed):
        raise Refused("DifferentRings", "the epochs differ in part power or seed")
    old_ids = [device.id for device in old.devices]
    new_ids = [device.id for device in new.devices]
    same_positions = old_ids == new_ids
    moves = Moves()
    for width in sorted(old.tables.keys() & new.tables.keys()):
        before, after = old.tables[width], new.tables[width]
        for first in range(0, len(after), CHUNK_ENTRIES):
            chunk_before = before[first : first + CHUNK_ENTRIES]
            chunk_after = after[first : first + CHUNK_ENTRIES]
            if same_positions and chunk_before == chunk_after:
                continue
            for place, (source, target) in enumerate(
                zip(chunk_before, chunk_after, strict=True), first
            ):
                if old_ids[source] != new_ids[target]:
                    partition, replica = divmod(place, width)
                    moves.append(Move(width, partition, replica, old_ids[source], new_ids[target]))
    return moves
