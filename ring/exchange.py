"""Moving replicas straight from devices that hold too much to devices that hold too little. Pure.

The bulk of a rebalance. Every round offers each missing replica one random replica of a device in
surplus and takes the offers that keep (or improve) the partition's bounds. Each accepted move
serves both its ends, so as long as only such moves are made the number of moves is the smallest
possible. What random offers do not find is left to `ring.settle`. Imported by the builder only,
because it needs numpy.
"""

from __future__ import annotations

import numpy as np

from ring.chance import Chance
from ring.grid import Flags, Grid, Integers, Table

IDLE_ROUNDS_MAX = 40  # consecutive rounds with too few accepted offers before giving up
ACCEPTED_PERCENT_MIN = 1


class Exchange:
    """A table being rebalanced in place, and which of its replicas have moved."""

    def __init__(self, grid: Grid, table: Table, chance: Chance) -> None:
        self.grid = grid
        self.table = table
        self.moved: Flags = np.zeros(table.shape, dtype=np.bool_)
        self._row_moved: Flags = np.zeros(table.shape[1], dtype=np.bool_)
        self._chance = chance
        device_count = len(grid.member[-1])
        self._surplus: Integers = (
            np.bincount(table.ravel(), minlength=device_count) - grid.device_total
        )
        self._violation = grid.violation(table)
        self._slots, self._starts, self._lengths = _slots_by_device(table, device_count)

    def run(self, *, again: bool) -> None:
        """Make rounds until nothing is missing or offers stop being accepted.

        With `again` a partition that has moved one replica may move another.
        """
        idle_rounds = 0
        while idle_rounds < IDLE_ROUNDS_MAX and np.any(self._surplus > 0):
            offered, accepted = self._round(again=again)
            enough = accepted * 100 > offered * ACCEPTED_PERCENT_MIN
            idle_rounds = 0 if enough else idle_rounds + 1

    def _round(self, *, again: bool) -> tuple[int, int]:
        """One offer for each missing replica; returns how many were made and accepted."""
        giving = np.flatnonzero(self._surplus > 0)
        taking = np.flatnonzero(self._surplus < 0)
        source = np.repeat(giving, self._surplus[giving])
        target = np.repeat(taking, -self._surplus[taking])
        target = target[self._chance.permutation(len(target))]
        offered = len(target)
        pick = self._starts[source] + self._chance.below(self._lengths[source])
        slot = self._slots[pick]
        replica, row = np.divmod(slot, self.table.shape[1])

        open_ = self.table[replica, row] == source
        open_ &= ~(self.moved[replica, row] if again else self._row_moved[row])
        chosen = np.flatnonzero(open_)
        chosen = chosen[np.sort(np.unique(row[chosen], return_index=True)[1])]
        source, target, replica, row = (part[chosen] for part in (source, target, replica, row))
        change, harmful = self.grid.effect(
            self.table[:, row], source.astype(np.int32), target.astype(np.int32)
        )
        good = ~harmful & ((change < 0) | (self._violation[row] == 0))
        self._violation[row[good]] += change[good]
        self._move(source[good], target[good], replica[good], row[good])
        return offered, int(np.count_nonzero(good))

    def _move(self, source: Integers, target: Integers, replica: Integers, row: Integers) -> None:
        self.table[replica, row] = target
        self.moved[replica, row] = True
        self._row_moved[row] = True
        np.subtract.at(self._surplus, source, 1)
        np.add.at(self._surplus, target, 1)


def _slots_by_device(table: Table, device_count: int) -> tuple[Integers, Integers, Integers]:
    """Flat positions grouped by device, and where each device's group starts and how long it is."""
    flat = table.ravel()
    keys = flat.astype(np.uint16) if device_count <= 2**16 else flat
    slots = np.argsort(keys, kind="stable")
    lengths = np.bincount(flat, minlength=device_count)
    starts = np.cumsum(lengths) - lengths
    return slots, starts, lengths
