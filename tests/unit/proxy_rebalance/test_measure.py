"""What is judged to have moved, to lag and to stray, from tables alone."""

from __future__ import annotations

import dataclasses

from objectd import wire
from proxy.rebalance.measure import measure, movement
from proxy.repair.plan import Table
from ring.build import build
from ring.epoch import Epoch
from tests.model import rings

DRAFT = rings.draft(rings.devices(1, 4, 1), part_power=3)
FIRST = build(DRAFT, None).epoch
CHANGE = build(dataclasses.replace(DRAFT, devices=rings.devices(1, 5, 1)), FIRST)
PIECE_BYTES = 1000
FULL, OTHER = b"f" * 16, b"o" * 16


def full(epoch: Epoch) -> dict[int, Table]:
    """Every primary holds ten pieces and two registers of each partition."""
    tables = {device.id: Table({}, {}) for device in epoch.devices}
    for partition in range(epoch.part_count):
        for device in epoch.primaries(partition, 3):
            hold(tables, device.id, partition)
    return tables


def hold(
    tables: dict[int, Table], device: int, partition: int, pieces: int = 10, digest: bytes = FULL
) -> None:
    row = wire.PiecesRow(0, partition, 0, pieces, pieces * PIECE_BYTES, digest)
    tables[device].pieces[0, partition, 0] = row
    tables[device].ranges[partition] = wire.RangesOfRow(partition, 1, 2, digest)


def test_a_cluster_as_the_ring_says_is_settled() -> None:
    """Nothing strays, nothing lags, everybody answers."""
    state = measure(FIRST, full(FIRST))
    assert state.settled
    assert state.silent == ()
    assert (state.stray_pieces, state.stray_registers, state.missing_bytes) == (0, 0, 0)


def test_before_anything_has_moved_everything_that_moves_is_left() -> None:
    """By partition, piece, byte and register; once joint is over."""
    tables = full(FIRST)
    tables[4] = Table({}, {})
    moved = len(CHANGE.moves)
    left = movement(CHANGE.epoch, tables)
    assert (left.parts, left.pieces) == (moved, 10 * moved)
    assert left.size_bytes == 10 * moved * PIECE_BYTES
    assert left.registers == 2 * moved
    assert not left.done
    assert CHANGE.joint is not None
    assert movement(CHANGE.joint, tables).registers == 0
    state = measure(CHANGE.epoch, tables)
    assert (state.stray_pieces, state.stray_registers) == (10 * moved, 2 * moved)
    assert {one.device for one in state.lagging} == {4}
    assert state.missing_bytes == 10 * moved * PIECE_BYTES


def test_what_the_source_has_given_up_has_moved() -> None:
    """It gives up only what is held where it belongs."""
    assert movement(CHANGE.epoch, full(CHANGE.epoch)).done
    assert measure(CHANGE.epoch, full(CHANGE.epoch)).settled


def test_of_a_silent_source_the_target_must_be_full() -> None:
    """But for the little that dead writers leave behind."""
    source = CHANGE.moves.__iter__().__next__().source
    tables = full(FIRST)
    tables[4] = Table({}, {})
    del tables[source]
    mine = [move for move in CHANGE.moves if move.source == source]
    left = movement(CHANGE.epoch, tables)
    assert left.parts == len(CHANGE.moves)
    for move in mine:
        hold(tables, 4, move.partition, pieces=9, digest=OTHER)
    assert movement(CHANGE.epoch, tables).parts == len(CHANGE.moves) - len(mine)
    assert source in measure(CHANGE.epoch, tables).silent


def test_a_replica_that_holds_less_lags_by_that_much() -> None:
    """Of pieces and of ranges."""
    tables = full(FIRST)
    device = FIRST.primaries(5, 3)[1].id
    hold(tables, device, 5, pieces=4, digest=OTHER)
    state = measure(FIRST, tables)
    assert not state.settled
    pieces = [one for one in state.lagging if one.policy == 0]
    assert [(one.partition, one.device, one.missing) for one in pieces] == [(5, device, 6)]
    assert state.missing_bytes == 6 * PIECE_BYTES
    assert [one.partition for one in state.lagging if one.policy is None] == [5] * (
        len(state.lagging) - 1
    )
