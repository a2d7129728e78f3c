from __future__ import annotations

import math

import pytest

from core.errors import Refused
from ring.settings import Settings


def test_settings_count_the_partitions() -> None:
    """Part power 12 is 4,096 partitions."""
    assert Settings(12, 7).part_count == 4096


@pytest.mark.parametrize(
    ("part_power", "seed", "index_replicas", "overload"),
    [
        (-1, 0, 3, None),
        (25, 0, 3, None),
        (8, -1, 3, None),
        (8, 2**64, 3, None),
        (8, 0, 0, None),
        (8, 0, 33, None),
        (8, 0, 3, -0.1),
        (8, 0, 3, math.nan),
    ],
)
def test_settings_out_of_range_are_refused(
    part_power: int, seed: int, index_replicas: int, overload: float | None
) -> None:
    """Each bound, broken one at a time."""
    with pytest.raises(Refused) as caught:
        Settings(part_power, seed, index_replicas, overload)
    assert caught.value.code == "InvalidSettings"
