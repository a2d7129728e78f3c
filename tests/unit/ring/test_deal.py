from __future__ import annotations

import numpy as np
import pytest

from ring.chance import Chance
from ring.deal import deal
from ring.device import Device
from ring.grid import Grid, lay_out
from ring.target import device_shares, partition_goal
from ring.tree import grow
from tests.model import rings


def grid_for(devices: tuple[Device, ...], width: int, part_count: int) -> Grid:
    tree = grow(devices)
    shares = device_shares(tree, [one.weight for one in devices], width, overload=None)
    return lay_out(tree, partition_goal(tree, shares, part_count, [0] * len(devices)))


@pytest.mark.parametrize("width", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("shape", [(1, 1, 8), (1, 9, 1), (2, 2, 2), (3, 3, 1), (5, 2, 3)])
def test_a_dealt_table_meets_every_total_and_bound(width: int, shape: tuple[int, int, int]) -> None:
    """Exactly, for any mix of levels, also where a place takes several replicas."""
    grid = grid_for(rings.devices(*shape), width, 64)
    table = deal(grid, 64, width, Chance(5))
    assert np.bincount(table.ravel()).tolist() == grid.device_total.tolist()
    assert not grid.violation(table).any()


def test_a_device_shares_partitions_with_nearly_all_others() -> None:
    """A lost device must be rebuilt from many: dealing alone would pair it with two or three."""
    table = deal(grid_for(rings.devices(1, 40, 1), 3, 1024), 1024, 3, Chance(5))
    for one in range(40):
        partners = set(table[:, (table == one).any(axis=0)].ravel().tolist())
        assert len(partners) >= 36


def test_no_device_is_always_the_first_replica() -> None:
    """Each replica number is spread over all devices."""
    table = deal(grid_for(rings.devices(3, 2, 1), 3, 1024), 1024, 3, Chance(5))
    for replica in table:
        assert np.bincount(replica, minlength=6).min() > 100
