from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.quantile import percentiles_ms, quantile

VALUES = st.lists(st.floats(0, 1e6), min_size=1, max_size=300)


@given(VALUES, st.floats(0, 1))
def test_a_quantile_is_the_least_value_that_covers_its_share(values, share):
    """By definition: enough values are not above it, and not enough below any smaller one."""
    ordered = sorted(values)
    found = quantile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered)
    smaller = [value for value in ordered if value < found]
    assert not smaller or len(smaller) < share * len(ordered)


@given(VALUES)
def test_the_half_is_the_low_median_and_the_whole_is_the_maximum(values):
    """Against the standard library."""
    ordered = sorted(values)
    assert quantile(ordered, 0.5) == statistics.median_low(values)
    assert quantile(ordered, 1) == max(values)
    assert quantile(ordered, 0) == min(values)


def test_percentiles_are_in_milliseconds_and_nothing_is_zero():
    """1 to 100 ms: p50 is the fiftieth, p99 the ninety-ninth."""
    seconds = [number / 1000 for number in range(100, 0, -1)]
    assert percentiles_ms(seconds) == pytest.approx((50, 99))
    assert percentiles_ms([]) == (0, 0)


def test_a_share_beyond_one_is_refused():
    """99 instead of 0.99 is a mistake."""
    with pytest.raises(ValueError):
        quantile([1.0], 99)
