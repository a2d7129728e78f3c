"""One epoch's worth of a rebalance: at most one replica of a partition moves. Pure.

The goal may ask several replicas of one partition to move. Then one of them goes now and the rest
wait for later epochs, so that a majority of a partition's replicas always stays where it is. The
one that goes is the one that leaves the partition spread best; among equals, one that leaves a
device which is to be emptied. Imported by the builder only, because it needs numpy.
"""

from __future__ import annotations

import numpy as np

from ring.grid import Flags, Grid, Table


def take_step(grid: Grid, before: Table, goal: Table) -> tuple[Table, int]:
    """The table after one epoch, and how many partitions still want to move after it."""
    goal = _keep_in_place(before, goal)
    changed = before != goal
    table = goal.copy()
    rows = np.flatnonzero(np.count_nonzero(changed, axis=0) > 1)
    if len(rows):
        table[:, rows] = _best_moves(grid, before[:, rows], goal[:, rows])
    return table, len(rows)


def _keep_in_place(before: Table, goal: Table) -> Table:
    """Reorder each partition's goal so that a device it keeps keeps its replica number.

    Fragments of an erasure code belong to their position, so a mere swap would be a move.
    """
    goal = goal.copy()
    width = len(goal)
    for replica in range(width):
        for other in range(width):
            if other == replica:
                continue
            swap = (goal[replica] == before[other]) & (goal[other] != before[other])
            goal[replica, swap], goal[other, swap] = goal[other, swap], goal[replica, swap]
    return goal


def _best_moves(grid: Grid, before: Table, goal: Table) -> Table:
    """For each partition, `before` with the best one of its moves made."""
    width, count = before.shape
    changed: Flags = before != goal
    emptied = grid.device_total[before] == 0
    best = before.copy()
    best_score = np.full(count, np.iinfo(np.int32).max, dtype=np.int32)
    for replica in range(width):
        for other in range(width):
            able = changed[replica] & changed[other]
            if not able.any():
                continue
            change, _ = grid.effect(before, before[replica], goal[other])
            score = change * 2 + ~emptied[replica]
            better = able & (score < best_score)
            best[:, better] = before[:, better]
            best[replica, better] = goal[other, better]
            best_score[better] = score[better]
    return best
