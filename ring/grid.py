"""The tree and the goal as arrays, and what a move does to a partition's bounds. Pure.

`rows` is always an array of shape (width, n): column i lists the devices of one partition. A row's
*violation* counts, over all places, by how much the partition exceeds the most or misses the fewest
replicas the place allows. Imported by the builder only, because it needs numpy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ring.target import Goal
from ring.tree import LEVELS, Tree

Table = NDArray[np.int32]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Grid:
    """Per level: the place of each device, and each place's total and bounds."""

    member: tuple[Table, ...]
    parent: tuple[Table, ...]
    total: tuple[Integers, ...]
    low: tuple[Table, ...]
    high: tuple[Table, ...]

    @property
    def device_total(self) -> Integers:
        """Partitions each device should hold, by its position in the device list."""
        return self.total[-1][self.member[-1]]

    def violation(self, rows: Table) -> Table:
        """How far each partition is from its bounds; 0 is legal."""
        result = np.zeros(rows.shape[1], dtype=np.int32)
        for level in range(len(LEVELS)):
            places = self.member[level][rows]
            high = self.high[level]
            for replica, place in enumerate(places):
                first = np.ones(rows.shape[1], dtype=np.bool_)
                for earlier in places[:replica]:
                    first &= earlier != place
                excess = occurrences(places, place) - high[place]
                result += np.where(first & (excess > 0), excess, 0)
            for needed in np.flatnonzero(self.low[level]):
                missing = self.low[level][needed] - occurrences(places, needed)
                result += np.maximum(missing, 0)
        return result

    def effect(self, rows: Table, source: Table, target: Table) -> tuple[Table, Flags]:
        """What it does when each partition moves one replica from `source` to `target`.

        Returns the change of violation, and whether the move breaks a bound at either end (it may
        still be an improvement as a whole).
        """
        change = np.zeros(rows.shape[1], dtype=np.int32)
        harmful = np.zeros(rows.shape[1], dtype=np.bool_)
        for level in range(len(LEVELS)):
            member, low, high = self.member[level], self.low[level], self.high[level]
            places = member[rows]
            gone, come = member[source], member[target]
            leaving = occurrences(places, gone)
            joining = occurrences(places, come)
            apart = gone != come
            worse = ((leaving <= low[gone]) & apart, (joining >= high[come]) & apart)
            better = ((leaving > high[gone]) & apart, (joining < low[come]) & apart)
            for flags in worse:
                change += flags
                harmful |= flags
            for flags in better:
                change -= flags
        return change, harmful


def occurrences(places: Table, wanted: Table | np.int64 | int) -> Table:
    """How often each column holds the wanted place (one per column, or one for all)."""
    result = np.zeros(places.shape[1], dtype=np.int32)
    for row in places:
        result += row == wanted
    return result


def lay_out(tree: Tree, goal: Goal) -> Grid:
    """The array form of a tree and a goal."""
    return Grid(
        member=tuple(np.array(row, dtype=np.int32) for row in tree.member),
        parent=tuple(np.array(row, dtype=np.int32) for row in tree.parent),
        total=tuple(np.array(row, dtype=np.int64) for row in goal.total),
        low=tuple(np.array(row, dtype=np.int32) for row in goal.low),
        high=tuple(np.array(row, dtype=np.int32) for row in goal.high),
    )
