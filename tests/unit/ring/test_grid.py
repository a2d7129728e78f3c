from __future__ import annotations

import numpy as np

from ring.grid import Grid, lay_out, occurrences
from ring.target import partition_goal, weight_shares
from ring.tree import grow
from tests.model import rings


def grid_of_two_zones() -> Grid:
    """Zones of two nodes of one device; two replicas of four partitions."""
    tree = grow(rings.devices(2, 2, 1))
    return lay_out(tree, partition_goal(tree, weight_shares([1.0] * 4, 2), 4, [0] * 4))


def table(*rows: tuple[int, ...]) -> np.ndarray:
    return np.array(rows, dtype=np.int32).T


def test_violation_counts_excess_and_lack_over_all_levels() -> None:
    """One zone twice: one too many there, one missing in the other; one device twice: two more."""
    grid = grid_of_two_zones()
    assert grid.violation(table((0, 2), (0, 1), (0, 0))).tolist() == [0, 2, 4]


def test_the_effect_of_a_move_is_the_difference_of_violations() -> None:
    """Checked against counting twice, for every partition, source and target."""
    grid = grid_of_two_zones()
    for row in ((0, 2), (0, 1), (0, 0), (3, 1)):
        for target in range(4):
            before, after = table(row), table((target, row[1]))
            source = np.array([row[0]], dtype=np.int32)
            change, harmful = grid.effect(before, source, np.array([target], dtype=np.int32))
            assert change == grid.violation(after) - grid.violation(before)
            assert harmful or change <= 0


def test_a_move_that_helps_one_bound_and_breaks_another_is_harmful() -> None:
    """From a doubled device to a full zone: better at one end, no better at the other."""
    grid = grid_of_two_zones()
    change, harmful = grid.effect(
        table((0, 2)), np.array([0], dtype=np.int32), np.array([3], dtype=np.int32)
    )
    assert (change.tolist(), harmful.tolist()) == ([2], [True])


def test_occurrences_count_per_partition() -> None:
    """One wanted place per column, or one for all."""
    rows = table((0, 1, 1), (2, 2, 2))
    assert occurrences(rows, 1).tolist() == [2, 0]
    assert occurrences(rows, np.array([0, 2], dtype=np.int32)).tolist() == [1, 3]
