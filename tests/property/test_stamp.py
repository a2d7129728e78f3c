"""Ballots: their order is stage, then clock, then proposer; a clock never goes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.stamp import (
    BALLOT_BYTES,
    CLOCK_MAX_US,
    ZERO,
    HybridClock,
    clock_of,
    config_of,
    make_ballot,
    stage_of,
)

u24 = st.integers(0, 2**24 - 1)
u56 = st.integers(0, CLOCK_MAX_US)
parts = st.tuples(u24, u24, u56, u24)


def make(config: int, stage: int, clock_us: int, proposer: int) -> bytes:
    return make_ballot(stage, clock_us, proposer, config)


@given(parts, parts)
def test_ballots_order_as_their_parts(
    one: tuple[int, int, int, int], two: tuple[int, int, int, int]
) -> None:
    """Comparing bytes compares (config, stage, clock, proposer)."""
    assert (make(*one) < make(*two)) == (one < two)
    ballot = make(*one)
    assert len(ballot) == BALLOT_BYTES
    assert ballot >= ZERO
    assert (config_of(ballot), stage_of(ballot), clock_of(ballot)) == one[:3]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2**50)), min_size=1))
def test_a_clock_only_goes_up_whatever_the_wall_says(steps: list[tuple[bool, int]]) -> None:
    """Above every earlier value, above everything observed, and at least the wall clock."""
    wall = [0]
    clock = HybridClock(lambda: wall[0], 5)
    highest = 0
    for observe, value in steps:
        if observe:
            clock.observe(value)
            highest = max(highest, value)
        else:
            wall[0] = value
            ticked = clock.tick()
            assert ticked > highest
            assert ticked >= value
            highest = ticked
            assert clock.ballot(3) > make_ballot(3, ticked, 5)
            highest = clock.last_us
