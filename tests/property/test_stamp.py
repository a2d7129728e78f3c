"""Ballots: their order is stage, then clock, then proposer; a clock never goes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.stamp import BALLOT_BYTES, ZERO, HybridClock, clock_of, make_ballot, stage_of

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 2)
parts = st.tuples(u32, u64, u32)


@given(parts, parts)
def test_ballots_order_as_their_parts(one: tuple[int, int, int], two: tuple[int, int, int]) -> None:
    """Comparing bytes compares (stage, clock, proposer)."""
    assert (make_ballot(*one) < make_ballot(*two)) == (one < two)
    ballot = make_ballot(*one)
    assert len(ballot) == BALLOT_BYTES
    assert ballot >= ZERO
    assert (stage_of(ballot), clock_of(ballot)) == one[:2]


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
