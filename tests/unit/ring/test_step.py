from __future__ import annotations

import numpy as np

from ring.grid import lay_out
from ring.step import take_step
from ring.target import device_shares, partition_goal
from ring.tree import grow
from tests.model import rings

DEVICES = (*rings.devices(3, 2, 1), rings.device(6, zone=9, node=9, weight=0.0))
TREE = grow(DEVICES)
GRID = lay_out(
    TREE,
    partition_goal(
        TREE,
        device_shares(TREE, [one.weight for one in DEVICES], 3, overload=None),
        1,
        [0] * 7,
    ),
)


def step(before: list[int], goal: list[int]) -> tuple[list[int], int]:
    table, pending = take_step(
        GRID, np.array([before], dtype=np.int32).T, np.array([goal], dtype=np.int32).T
    )
    return table.T.tolist()[0], pending


def test_a_single_move_is_made_at_once() -> None:
    """Nothing is pending after it."""
    assert step([0, 2, 4], [0, 3, 4]) == ([0, 3, 4], 0)


def test_the_same_devices_in_another_order_are_no_move() -> None:
    """A fragment belongs to its position."""
    assert step([0, 2, 4], [2, 4, 0]) == ([0, 2, 4], 0)


def test_a_kept_device_keeps_its_position_when_another_moves() -> None:
    """Only the replica that really moves gets the new device."""
    assert step([0, 2, 4], [2, 5, 0]) == ([0, 2, 5], 0)


def test_of_two_moves_one_waits() -> None:
    """The other replicas stay where they are, and the move keeps the zones apart."""
    table, pending = step([0, 2, 4], [1, 3, 4])
    assert pending == 1
    assert table in ([1, 2, 4], [0, 3, 4])


def test_moves_across_are_paired_so_that_zones_stay_apart() -> None:
    """Zone 0's replica goes to zone 1 and back in the goal; the step stays within a zone."""
    table, pending = step([0, 2, 4], [3, 1, 4])
    assert pending == 1
    assert {place // 2 for place in table} == {0, 1, 2}


def test_a_device_to_be_emptied_goes_first() -> None:
    """Among equally good moves."""
    assert step([6, 2, 4], [0, 3, 4]) == ([0, 2, 4], 1)
