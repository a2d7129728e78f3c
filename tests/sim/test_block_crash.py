"""Volumes survive a crash at any moment, and the harness that says so notices when a rule is left out."""

from __future__ import annotations

import logging

import pytest

from sim.block_crash import MUTANTS, check


@pytest.fixture(autouse=True)
def quiet() -> None:
    logging.getLogger("ringstack.volume").setLevel(logging.ERROR)


@pytest.mark.parametrize("seed", [1, 3])
def test_a_crash_leaves_a_prefix_of_the_writes(seed: int) -> None:
    """Volumes, snapshots, clones and cuts over several volumes, with any of what was in flight having landed."""
    report = check(seed, points=40)
    assert report.wrong == []
    assert report.tried >= 40
    assert report.crashes > report.tried


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_rule_that_is_left_out_is_noticed(mutant: str) -> None:
    """Flush answered before the commit; victims gone before the state says so; no END at a take-over."""
    assert check(1, points=300, broken=frozenset({mutant})).wrong


def test_one_seed_is_one_history() -> None:
    """The same points, the same workload."""
    first, second = check(5, points=3, steps=60), check(5, points=3, steps=60)
    assert (first.points, first.steps, first.crashes) == (
        second.points,
        second.steps,
        second.crashes,
    )
