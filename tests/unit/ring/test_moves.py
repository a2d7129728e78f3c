from __future__ import annotations

import dataclasses

import pytest

from core.errors import Refused
from ring.build import build
from ring.moves import Move, Moves, moves_between
from tests.model import rings

DRAFT = rings.draft(rings.devices(1, 4, 1), part_power=9)
EPOCH = build(DRAFT, None).epoch


def test_moves_are_listed_by_device_id_and_explain_the_new_table() -> None:
    """Applied to the old rows they give the new rows."""
    wanted = dataclasses.replace(
        DRAFT, devices=(rings.device(77, zone=0, node=9), *DRAFT.devices[1:])
    )
    change = build(wanted, EPOCH)
    rows = [list(row) for row in rings.rows(EPOCH, 3)]
    for move in change.moves:
        assert rows[move.partition][move.replica] == move.source
        rows[move.partition][move.replica] = move.target
    assert [tuple(row) for row in rows] == rings.rows(change.epoch, 3)
    assert {move.source for move in change.moves} == {0}


def test_an_epoch_differs_from_itself_by_nothing() -> None:
    """The fast path over equal chunks."""
    assert len(moves_between(EPOCH, EPOCH)) == 0


def test_rings_that_divide_keys_differently_are_not_comparable() -> None:
    """Another part power or seed is another ring."""
    for other in (rings.draft(DRAFT.devices, part_power=8), rings.draft(DRAFT.devices, seed=8)):
        with pytest.raises(Refused, match="part power or seed"):
            moves_between(EPOCH, build(other, None).epoch)


def test_moves_can_be_read_more_than_once() -> None:
    """A sequence, not an iterator."""
    moves = Moves()
    moves.append(Move(3, 70_000, 2, 100_000, 5))
    assert list(moves) == list(moves) == [Move(3, 70_000, 2, 100_000, 5)]
    assert len(moves) == 1
