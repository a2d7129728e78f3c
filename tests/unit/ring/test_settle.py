from __future__ import annotations

import numpy as np
import pytest

from core.errors import Bug
from ring.chance import Chance
from ring.device import Device
from ring.grid import Grid, lay_out
from ring.settle import settle
from ring.target import Goal, device_shares, partition_goal
from ring.tree import grow
from tests.model import rings


def grid_for(devices: tuple[Device, ...], width: int, part_count: int) -> Grid:
    tree = grow(devices)
    shares = device_shares(tree, [one.weight for one in devices], width, overload=None)
    return lay_out(tree, partition_goal(tree, shares, part_count, [0] * len(devices)))


@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(1, 1, 6), (1, 5, 1), (2, 2, 2), (3, 2, 1)])
def test_any_table_is_settled_exactly(width: int, shape: tuple[int, int, int]) -> None:
    """From the worst start (all on the first devices) and from noise: all totals and bounds met."""
    grid = grid_for(rings.devices(*shape), width, 16)
    device_count = len(grid.member[-1])
    crowded = np.repeat(np.arange(width, dtype=np.int32)[:, None], 16, axis=1)
    noise = (Chance(3).words(width * 16) % np.uint64(device_count)).astype(np.int32)
    for start in (crowded, noise.reshape(width, 16)):
        unmoved = np.zeros(start.shape, dtype=np.bool_)
        goal = settle(grid, start, unmoved, Chance(4))
        assert np.bincount(goal.ravel(), minlength=device_count).tolist() == (
            grid.device_total.tolist()
        )
        assert not grid.violation(goal).any()


def test_a_settled_table_stays_as_it_is() -> None:
    """Nothing to do moves nothing."""
    grid = grid_for(rings.devices(3, 2, 1), 3, 16)
    start = np.zeros((3, 16), dtype=np.int32)
    unmoved = np.zeros(start.shape, dtype=np.bool_)
    settled = settle(grid, start, unmoved, Chance(4))
    assert (settle(grid, settled, unmoved, Chance(5)) == settled).all()


def test_totals_are_met_through_the_only_partition_that_can() -> None:
    """Partition 1 must give device 0 away for device 2, which partition 0 holds already."""
    tree = grow(rings.devices(1, 1, 3))
    goal = Goal(
        total=((4,), (4,), (4,), (1, 1, 2)),
        low=((2,), (2,), (2,), (0, 0, 1)),
        high=((2,), (2,), (2,), (1, 1, 1)),
    )
    start = np.array([[0, 0], [2, 1]], dtype=np.int32)
    grid = lay_out(tree, goal)
    result = settle(grid, start, np.zeros((2, 2), dtype=np.bool_), Chance(1))
    assert [sorted(row) for row in result.T.tolist()] == [[0, 2], [1, 2]]


def test_an_impossible_goal_is_a_bug_and_not_a_loop() -> None:
    """Totals that the bounds forbid cannot come from `ring.target`; stop rather than spin."""
    tree = grow(rings.devices(1, 1, 2))
    bad = Goal(
        total=((2,), (2,), (2,), (0, 2)),
        low=((1,), (1,), (1,), (0, 0)),
        high=((1,), (1,), (1,), (1, 0)),
    )
    with pytest.raises(Bug):
        settle(
            lay_out(tree, bad),
            np.zeros((1, 2), dtype=np.int32),
            np.zeros((1, 2), dtype=np.bool_),
            Chance(1),
        )
