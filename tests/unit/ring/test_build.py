from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import xxhash

from core.errors import Refused
from ring.build import build, build_all
from ring.device import Device
from ring.draft import Draft
from ring.epoch import Epoch
from ring.report import report_table
from ring.settings import Settings
from tests.model import rings


def with_devices(draft: Draft, *devices: Device) -> Draft:
    return dataclasses.replace(draft, devices=devices)


def least_moves(before: Epoch, after: Epoch, width: int) -> int:
    had, has = rings.held(before, width), rings.held(after, width)
    return sum(max(0, count - had[device_id]) for device_id, count in has.items())


def test_a_width_needs_as_many_devices() -> None:
    """The message says what is missing and what to do; weight 0 does not count."""
    devices = (*rings.devices(1, 2, 1), rings.device(9, weight=0.0))
    with pytest.raises(Refused, match=r"3 replicas need 3 devices.*there are 2.*Add devices"):
        build(rings.draft(devices), None)


@pytest.mark.parametrize("field", ["part_power", "seed", "index_replicas"])
def test_what_would_move_everything_cannot_change(field: str) -> None:
    """Part power, seed and index replicas are fixed with the first epoch."""
    draft = rings.draft(rings.devices(1, 4, 1))
    epoch = build(draft, None).epoch
    settings = dataclasses.replace(draft.settings, **{field: 2})
    with pytest.raises(Refused, match=field):
        build(dataclasses.replace(draft, settings=settings), epoch)


def test_one_device_in_a_new_node_receives_and_nobody_else_does() -> None:
    """Exactly the least number of moves, all of them to the new device."""
    draft = rings.draft(rings.devices(4, 4, 4), part_power=12)
    epoch = build(draft, None).epoch
    change = build(with_devices(draft, *draft.devices, rings.device(500, zone=0, node=9)), epoch)
    assert {move.target for move in change.moves} == {500}
    assert len(change.moves) == least_moves(epoch, change.epoch, 3)
    assert change.pending == 0


def test_a_removed_device_is_emptied_and_nothing_else_moves() -> None:
    """Its partitions go to the others; the epoch after that leaves it out of the list."""
    draft = rings.draft(rings.devices(4, 4, 4), part_power=12)
    epoch = build(draft, None).epoch
    change = build(draft.without_device(7), epoch)
    assert {move.source for move in change.moves} == {7}
    assert len(change.moves) == rings.held(epoch, 3)[7]
    assert change.epoch.device(7).weight == 0
    last = build(draft.without_device(7), change.epoch)
    assert not last.moves
    assert last.joint is None
    assert last.epoch.devices == draft.without_device(7).devices
    assert not last.epoch.sources


def test_a_joint_epoch_has_both_replica_sets_and_the_stable_one_after_it_the_new_one() -> None:
    """Partitions that move have a new config in both; the others keep theirs."""
    draft = rings.draft(rings.devices(2, 2, 2), part_power=6)
    first = build(draft, None).epoch
    change = build(draft.without_device(3), first)
    joint, stable = change.joint, change.epoch
    assert joint is not None
    assert (joint.number, stable.number) == (2, 3)
    moved = {move.partition: move for move in change.moves}
    assert moved
    for partition in range(first.part_count):
        old = first.index_sets(partition)
        sets = joint.index_sets(partition)
        assert stable.index_sets(partition) == sets[:1]
        if partition not in moved:
            assert [one.id for one in sets[0]] == [one.id for one in old[0]]
            assert len(sets) == 1
            assert joint.since[partition] == stable.since[partition] == 1
            continue
        move = moved[partition]
        assert [[one.id for one in row] for row in sets[1:]] == [[one.id for one in old[0]]]
        assert {one.id for one in sets[0]} - {one.id for one in sets[1]} == {move.target}
        assert (joint.since[partition], stable.since[partition]) == (2, 3)
        assert next(stable.handoffs(partition, 3)).id == move.source
    back = joint.reverted()
    assert (back.number, back.joint, back.turned_back) == (3, False, True)
    for partition in range(first.part_count):
        assert [one.id for one in back.primaries(partition, 3)] == [
            one.id for one in first.primaries(partition, 3)
        ]
        assert back.since[partition] == (3 if partition in moved else 1)
        if partition in moved:
            assert next(back.handoffs(partition, 3)).id == moved[partition].target
    for epoch in (stable, back):
        with pytest.raises(Refused):
            epoch.settled()
        with pytest.raises(Refused):
            epoch.reverted()


def test_weight_zero_empties_a_device_but_keeps_it_listed() -> None:
    """So that it can come back."""
    draft = rings.draft(rings.devices(4, 4, 4), part_power=10)
    epoch = build(draft, None).epoch
    change = build(draft.with_weight(7, 0), epoch)
    assert rings.held(change.epoch, 3)[7] == 0
    assert change.epoch.device(7).weight == 0
    assert {move.source for move in change.moves} == {7}


def test_draining_a_region_takes_two_epochs_and_never_two_replicas_at_once() -> None:
    """A partition with two replicas there moves one, then the other."""
    devices = tuple(
        dataclasses.replace(one, region=1 + one.id % 2) for one in rings.devices(1, 8, 1)
    )
    draft = rings.draft(devices, part_power=8)
    epoch = build(draft, None).epoch
    kept = [one for one in devices if one.region == 1]
    first, second, last = build_all(with_devices(draft, *kept), epoch)
    assert first.pending == len(second.moves) > 0
    assert max(Counter(move.partition for move in first.moves).values()) == 1
    assert {one.weight for one in first.epoch.devices if one.region == 2} == {0.0}
    assert {one.region for one in second.epoch.devices if one.weight} == {1}
    assert second.pending == 0
    assert {one.region for one in last.epoch.devices} == {1}


def test_a_third_node_takes_one_replica_of_every_partition() -> None:
    """From two nodes to three: every partition ends on three nodes, with few moves too many."""
    draft = rings.draft(rings.devices(1, 2, 4), part_power=10)
    epoch = build(draft, None).epoch
    third = tuple(rings.device(n, node=77) for n in range(100, 104))
    changes = build_all(with_devices(draft, *draft.devices, *third), epoch)
    last = changes[-1].epoch
    node_of = {one.id: one.node for one in last.devices}
    assert all(len({node_of[n] for n in row}) == 3 for row in rings.rows(last, 3))
    moved = sum(len(change.moves) for change in changes)
    assert moved <= 1.02 * least_moves(epoch, last, 3)


def test_fragments_keep_their_position() -> None:
    """In an erasure-coded table a device that stays holds the same fragment number."""
    draft = rings.draft(rings.devices(1, 9, 1), widths=(3, 6), part_power=8)
    epoch = build(draft, None).epoch
    after = build(draft.without_device(4), epoch).epoch
    for before_row, after_row in zip(rings.rows(epoch, 6), rings.rows(after, 6), strict=True):
        for fragment, device_id in enumerate(before_row):
            if device_id in after_row:
                assert after_row[fragment] == device_id


def test_a_new_policy_of_a_new_width_gets_a_table_and_moves_nothing() -> None:
    """Policies of one width share a table; data of other widths stays."""
    draft = rings.draft(rings.devices(1, 6, 1))
    epoch = build(draft, None).epoch
    wider = dataclasses.replace(draft, policies=rings.policies(3, 5, 5))
    change = build(wider, epoch)
    assert sorted(change.epoch.tables) == [3, 5]
    assert change.epoch.tables[3] == epoch.tables[3]
    assert len(change.moves) == 0


def test_nothing_to_do_builds_nothing() -> None:
    """An epoch that is what the draft asks for has no next one."""
    draft = rings.draft(rings.devices(2, 2, 2))
    epoch = build(draft, None).epoch
    assert build_all(draft, epoch) == []
    assert len(build_all(dataclasses.replace(draft, policies=rings.policies(3, 3)), epoch)) == 1


def test_the_tables_of_a_ring_are_pinned() -> None:
    """A change of this hash means that equal input no longer gives the rings of earlier versions."""
    draft = rings.draft(rings.devices(3, 3, 3), part_power=8, widths=(3, 6))
    first = build(draft, None).epoch
    second = build(with_devices(draft, *draft.devices[2:], rings.device(90, zone=1)), first).epoch
    tables = [
        [xxhash.xxh3_64_hexdigest(epoch.tables[width]) for width in (3, 6)]
        for epoch in (first, second)
    ]
    assert tables == [
        ["67039e34b8971ffb", "e013d800977f2d6c"],
        ["bc2a02830b19919d", "94efdc506d01a1d0"],
    ]


@pytest.mark.slow
def test_a_thousand_devices_are_balanced_spread_and_extended_at_the_least_cost() -> None:
    """2^16 partitions, 1,000 devices: exact balance, no crowded partition, moves within 1 %."""
    devices = rings.devices(5, 20, 10)
    draft = Draft(Settings(16, 1), rings.policies(3), devices)
    epoch = build(draft, None).epoch
    report = report_table(epoch, 3)
    assert max(abs(row.held - row.share) for row in report.rows) < 1
    assert report.dispersion_percent == 0
    server = tuple(rings.device(2000 + n, zone=0, node=999) for n in range(10))
    spread = tuple(rings.device(2000 + n, zone=n % 5, node=n % 5 * 100) for n in range(10))
    for added in (server, spread):
        change = build(with_devices(draft, *devices, *added), epoch)
        least = 10 * 3 * epoch.part_count / 1010
        assert abs(len(change.moves) - least) <= 0.01 * least
        assert report_table(change.epoch, 3).dispersion_percent == 0
        assert change.pending == 0
