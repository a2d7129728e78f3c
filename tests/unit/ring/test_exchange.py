from __future__ import annotations

import numpy as np

from ring.chance import Chance
from ring.deal import deal
from ring.device import Device
from ring.exchange import Exchange
from ring.grid import Grid, lay_out
from ring.target import device_shares, partition_goal
from ring.tree import grow
from tests.model import rings

PART_COUNT = 512


def grids(before: tuple[Device, ...], added: tuple[Device, ...]) -> tuple[Grid, Grid]:
    """Grids over all devices, first with the added ones empty, then with all."""
    devices = before + added
    tree = grow(devices)
    made = []
    for usable in (len(before), len(devices)):
        weights = [1.0] * usable + [0.0] * (len(devices) - usable)
        shares = device_shares(tree, weights, 3, overload=None)
        made.append(lay_out(tree, partition_goal(tree, shares, PART_COUNT, [0] * len(devices))))
    return made[0], made[1]


def test_new_devices_are_filled_with_the_fewest_moves_and_one_per_partition() -> None:
    """Every move goes from a device with too much to one with too little."""
    old, new = grids(rings.devices(4, 3, 2), rings.devices(4, 1, 1, first_id=100))
    before = deal(old, PART_COUNT, 3, Chance(1))
    exchange = Exchange(new, before.copy(), Chance(2))
    exchange.run(again=False)
    counts = np.bincount(exchange.table.ravel(), minlength=28)
    assert counts.tolist() == new.device_total.tolist()
    assert exchange.moved.sum() == new.device_total[24:].sum()
    assert exchange.moved.sum(axis=0).max() == 1
    assert (exchange.moved == (exchange.table != before)).all()
    assert not new.violation(exchange.table).any()


def test_a_partition_moves_twice_only_when_asked() -> None:
    """Two of three full nodes replaced by empty ones: one replica each, then the other."""
    nodes = [rings.device(n, node=n) for n in range(5)]
    old, new = grids(tuple(nodes[:3]), tuple(nodes[3:]))
    tree = grow(nodes)
    shares = device_shares(tree, [1.0, 0.0, 0.0, 1.0, 1.0], 3, overload=None)
    new = lay_out(tree, partition_goal(tree, shares, PART_COUNT, [0] * 5))
    exchange = Exchange(new, deal(old, PART_COUNT, 3, Chance(1)), Chance(2))
    exchange.run(again=False)
    assert exchange.moved.sum(axis=0).tolist() == [1] * PART_COUNT
    exchange.run(again=True)
    moved = exchange.moved.sum(axis=0)
    assert moved.max() == 2
    assert np.count_nonzero(moved == 2) > 0.95 * PART_COUNT  # the rest is for `settle`
