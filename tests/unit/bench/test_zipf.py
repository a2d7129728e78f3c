from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.key import KEY_COUNT, LARGE, MIDDLE, SMALL, key_body, key_name, key_size
from bench.zipf import Zipf


@given(st.integers(1, 200), st.floats(0, 2), st.floats(0, 1, exclude_max=True))
def test_every_chance_falls_on_a_rank(count, exponent, chance):
    """Also at the very end of the range."""
    assert 0 <= Zipf(count, exponent).rank(chance) < count


def test_ranks_come_as_often_as_the_law_says():
    """100,000 draws: each popular rank within a tenth of 1/r, shares add up to 1."""
    law, chance = Zipf(100), random.Random(7)
    drawn = [law.rank(chance.random()) for _ in range(100_000)]
    for rank in range(10):
        assert drawn.count(rank) == pytest.approx(100_000 * law.share(rank), rel=0.1)
    assert law.share(0) == pytest.approx(2 * law.share(1))
    assert sum(law.share(rank) for rank in range(100)) == pytest.approx(1)


@pytest.mark.parametrize(("count", "exponent"), [(0, 1.0), (3, -1.0)])
def test_a_law_without_ranks_or_with_a_negative_exponent_is_refused(count, exponent):
    """They have no meaning."""
    with pytest.raises(ValueError):
        Zipf(count, exponent)


def test_a_key_says_its_size_and_bytes():
    """The same each time, in about the shares that are wanted, all names different."""
    sizes = [key_size(number) for number in range(KEY_COUNT)]
    assert sizes.count(SMALL) == pytest.approx(0.70 * KEY_COUNT, rel=0.1)
    assert sizes.count(MIDDLE) == pytest.approx(0.25 * KEY_COUNT, rel=0.2)
    assert sizes.count(LARGE) == pytest.approx(0.05 * KEY_COUNT, rel=0.5)
    assert len({key_name(number) for number in range(KEY_COUNT)}) == KEY_COUNT
    assert len(key_body(3)) == key_size(3)
    assert key_body(3) == key_body(3)
