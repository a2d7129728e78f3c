from __future__ import annotations

from fractions import Fraction

import pytest

from ring.target import device_shares, even_bounds, partition_goal, weight_shares
from ring.tree import grow
from tests.model import rings


def test_shares_follow_weight_and_stop_at_one() -> None:
    """A device that is heavier than a whole replica gets one; the rest share what is left."""
    assert weight_shares([10, 1, 1, 0], 2) == [1, Fraction(1, 2), Fraction(1, 2), 0]


def test_distance_comes_before_weight_without_an_overload() -> None:
    """Three zones and three replicas: one each, although one zone has most of the weight."""
    devices = [rings.device(n, zone=zone, node=n) for n, zone in enumerate((1, 2, 3, 3))]
    tree = grow(devices)
    shares = device_shares(tree, [1.0] * 4, 3, overload=None)
    assert shares == [1, 1, Fraction(1, 2), Fraction(1, 2)]


@pytest.mark.parametrize(
    ("overload", "share"), [(0.0, Fraction(3, 4)), (0.25, Fraction(15, 16)), (1.0, Fraction(1))]
)
def test_overload_limits_what_distance_may_cost(overload: float, share: Fraction) -> None:
    """A lone device in a zone may exceed its weight's share by so much and no more."""
    devices = [rings.device(n, zone=zone, node=n) for n, zone in enumerate((1, 2, 3, 3))]
    shares = device_shares(grow(devices), [1.0] * 4, 3, overload=overload)
    assert shares[0] == share
    assert sum(shares) == 3


@pytest.mark.parametrize(
    ("capacities", "amount", "lows", "highs"),
    [
        ([4, 4, 4], 3, [1, 1, 1], [2, 2, 2]),
        ([4, 4, 4], 2, [0, 0, 0], [1, 1, 1]),
        ([1, 1, 9], 5, [1, 1, 3], [1, 1, 4]),
        ([0, 2], 2, [0, 2], [0, 2]),
        ([], 0, [], []),
    ],
)
def test_even_bounds_are_the_water_level(
    capacities: list[int], amount: int, lows: list[int], highs: list[int]
) -> None:
    """Every place is filled to the same level or to its capacity."""
    assert even_bounds(capacities, amount) == (lows, highs)


def test_rounding_meets_every_sum_and_leans_to_what_is_held() -> None:
    """Ten partitions over three equal devices: the one that holds four keeps four."""
    tree = grow(rings.devices(1, 3, 1))
    shares = weight_shares([1.0] * 3, 1)
    for keeper in range(3):
        counts = [3, 3, 3]
        counts[keeper] = 4
        goal = partition_goal(tree, shares, 10, counts)
        assert goal.total[-1] == tuple(counts)
    assert goal.total[0] == (10,)
    assert (goal.low[0], goal.high[0]) == ((1,), (1,))
    assert (goal.low[-1], goal.high[-1]) == ((0, 0, 0), (1, 1, 1))
