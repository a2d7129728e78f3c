"""The ring's promises on random topologies, weights and changes, judged by a naive reference."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Corrupt
from ring.build import Change, build, build_all
from ring.device import Device
from ring.draft import Draft, decode_draft, encode_draft
from ring.epoch import Epoch
from ring.file import decode_epoch, encode_epoch
from ring.moves import moves_between
from ring.report import report_table
from ring.target import device_shares
from ring.tree import grow
from tests.model import rings

WEIGHTS = st.sampled_from([0.0, 0.1, 1.0, 1.0, 1.0, 2.0, 5.0])


@st.composite
def device_lists(draw: st.DrawFn, width: int) -> tuple[Device, ...]:
    places = st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 4), WEIGHTS)
    drawn = draw(st.lists(places, min_size=width, max_size=14))
    usable = sum(weight > 0 for *_, weight in drawn)
    made = []
    for number, (region, zone, node, weight) in enumerate(drawn):
        raised = weight or (1.0 if usable < width else 0.0)
        made.append(rings.device(number, region=region, zone=zone, node=node, weight=raised))
    return tuple(made)


@st.composite
def drafts(draw: st.DrawFn, overloads: tuple[float | None, ...] = (None,)) -> Draft:
    widths = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=2)))
    return rings.draft(
        draw(device_lists(max(widths))),
        part_power=draw(st.integers(0, 6)),
        widths=widths,
        seed=draw(st.integers(0, 2**64 - 1)),
        overload=draw(st.sampled_from(overloads)),
    )


@st.composite
def changed(draw: st.DrawFn, before: Draft) -> Draft:
    """A few devices leave, join or get another weight, and enough remain."""
    kept = [
        dataclasses.replace(one, weight=draw(st.one_of(st.just(one.weight), WEIGHTS)))
        for one in before.devices
        if draw(st.integers(0, 5))
    ]
    joining = draw(st.integers(0, 4))
    for number in range(100, 100 + joining):
        zone, node = draw(st.integers(1, 3)), draw(st.integers(1, 5))
        kept.append(rings.device(number, zone=zone, node=node, weight=1.0))
    missing = max(before.widths) - sum(one.weight > 0 for one in kept)
    kept.extend(rings.device(number, weight=1.0) for number in range(200, 200 + missing))
    return dataclasses.replace(before, devices=tuple(kept))


def assert_settled(draft: Draft, epoch: Epoch) -> None:
    """Distinct devices, shares met to within one partition."""
    weights = [one.weight for one in epoch.devices]
    for width in draft.widths:
        assert all(len(set(row)) == width for row in rings.rows(epoch, width))
        counts = rings.held(epoch, width)
        shares = device_shares(
            grow(epoch.devices), weights, width, overload=draft.settings.overload
        )
        for one, share in zip(epoch.devices, shares, strict=True):
            assert abs(counts[one.id] - share * epoch.part_count) < 1


@given(drafts())
def test_a_first_ring_is_exact_and_as_far_apart_as_possible(draft: Draft) -> None:
    """Balance within one partition of every share and no partition crowded, both always."""
    epoch = build(draft, None).epoch
    assert_settled(draft, epoch)
    for width in draft.widths:
        assert all(rings.is_farthest(row, epoch.devices) for row in rings.rows(epoch, width))
        assert report_table(epoch, width).dispersion_percent == 0


@given(drafts(overloads=(0.0,)))
def test_without_overload_shares_follow_weight_alone(draft: Draft) -> None:
    """Overload 0 puts weights before distance, and still no device holds a partition twice."""
    epoch = build(draft, None).epoch
    for width in draft.widths:
        wanted = rings.shares_by_weight([one.weight for one in epoch.devices], width)
        counts = rings.held(epoch, width)
        for one, share in zip(epoch.devices, wanted, strict=True):
            assert abs(counts[one.id] - share * epoch.part_count) < 1
        assert all(len(set(row)) == width for row in rings.rows(epoch, width))


@given(st.data(), drafts(overloads=(None, None, 0.0, 0.1)))
def test_a_change_reaches_its_goal_one_replica_at_a_time(data: st.DataObject, draft: Draft) -> None:
    """At most one replica of a partition moves per epoch; the last epoch is settled and stays so."""
    epoch = build(draft, None).epoch
    wanted = data.draw(changed(draft))
    for change in build_all(wanted, epoch):
        per_partition = Counter((move.width, move.partition) for move in change.moves)
        assert set(per_partition.values()) <= {1}
        assert list(change.moves) == list(moves_between(epoch, change.epoch))
        for width in wanted.widths:
            assert all(len(set(row)) == width for row in rings.rows(change.epoch, width))
        assert (change.joint is None) == (not change.moves)
        if change.joint is not None:
            settled = decode_epoch(encode_epoch(change.joint), "ring").settled()
            assert encode_epoch(settled) == encode_epoch(change.epoch)
        epoch = change.epoch
        pending = change.pending
        assert change.moves or not pending
    assert epoch.devices == wanted.devices
    assert_settled(wanted, epoch)
    assert build_all(wanted, epoch) == []


@given(st.data(), drafts())
def test_a_change_never_crowds_a_partition_on_the_way(data: st.DataObject, draft: Draft) -> None:
    """A partition that is as far apart as the new devices allow stays so in every epoch."""
    epoch = build(draft, None).epoch
    wanted = data.draw(changed(draft))
    for change in build_all(wanted, epoch):
        for width in wanted.widths:
            before = rings.rows(epoch, width)
            for number, row in enumerate(rings.rows(change.epoch, width)):
                if rings.is_farthest(before[number], change.epoch.devices):
                    assert rings.is_farthest(row, change.epoch.devices)
        epoch = change.epoch


@given(st.data(), drafts())
def test_only_what_a_removed_device_held_moves_unless_distance_asks(
    data: st.DataObject, draft: Draft
) -> None:
    """On one node (no distance to keep) a removal moves exactly the removed device's partitions."""
    flat = tuple(dataclasses.replace(one, region=1, zone=1, node="one") for one in draft.devices)
    flat = tuple(dataclasses.replace(one, weight=1.0) for one in flat)
    flat += (rings.device(50, weight=1.0),)
    flat = tuple(dataclasses.replace(one, region=1, zone=1, node="one") for one in flat)
    draft = dataclasses.replace(draft, devices=flat)
    epoch = build(draft, None).epoch
    gone = data.draw(st.sampled_from(flat))
    wanted = draft.without_device(gone.id)
    changes = build_all(wanted, epoch)
    moves = [move for change in changes for move in change.moves]
    lost = sum(rings.held(epoch, width)[gone.id] for width in wanted.widths)
    assert sum(move.source == gone.id for move in moves) == lost
    others = len(moves) - lost
    assert others <= 0.1 * lost + 3  # a few when no device may take what is left directly


@settings(max_examples=60)
@given(st.data(), st.integers(2, 3))
def test_small_changes_move_as_little_as_an_exhaustive_search_finds(
    data: st.DataObject, width: int
) -> None:
    """Against every possible assignment of a tiny ring: the fewest moves, or very few more."""
    places = st.tuples(st.integers(1, 2), st.integers(1, 2))
    start = data.draw(st.lists(places, min_size=width, max_size=4))
    extra = data.draw(st.lists(places, min_size=1, max_size=2))
    every = [
        rings.device(number, zone=zone, node=10 * zone + node, weight=1.0)
        for number, (zone, node) in enumerate((*start, *extra))
    ]
    draft = rings.draft(every[: len(start)], part_power=2, widths=(width,))
    epoch = build(draft, None).epoch
    wanted = dataclasses.replace(draft, devices=tuple(every))
    changes = build_all(wanted, epoch)
    last = changes[-1].epoch
    moved = sum(len(change.moves) for change in changes)
    least = rings.fewest_moves(rings.rows(epoch, width), last.devices, rings.held(last, width))
    assert least <= moved <= least + 3


@given(st.data(), drafts(overloads=(None, 0.1)))
def test_equal_input_gives_equal_bytes(data: st.DataObject, draft: Draft) -> None:
    """Building twice, from the same objects or from their files, gives the same bytes."""
    first = build(draft, None).epoch
    bytes_first = encode_epoch(first)
    assert bytes_first == encode_epoch(build(draft, None).epoch)
    wanted = data.draw(changed(draft))
    again = decode_epoch(bytes_first, "ring")
    reread = decode_draft(encode_draft(wanted), "draft")
    assert reread == wanted
    assert _bytes_of(build(wanted, first)) == _bytes_of(build(reread, again))


def _bytes_of(change: Change) -> bytes:
    return encode_epoch(change.epoch)


@given(drafts(overloads=(None, 0.25)))
def test_a_ring_file_gives_back_the_epoch(draft: Draft) -> None:
    """Everything survives the file: settings, devices, policies, tables, lookups."""
    epoch = build(draft, None).epoch
    read = decode_epoch(encode_epoch(epoch), "ring")
    assert (read.number, read.settings) == (epoch.number, epoch.settings)
    assert (read.devices, read.policies) == (epoch.devices, epoch.policies)
    assert read.tables == epoch.tables
    for width in draft.widths:
        for partition in range(epoch.part_count):
            assert read.primaries(partition, width) == epoch.primaries(partition, width)


SAMPLE = encode_epoch(build(rings.draft(rings.devices(2, 2, 2), widths=(3, 2)), None).epoch)


@given(st.integers(0, len(SAMPLE) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_refused(position: int, flip: int) -> None:
    """Any changed byte anywhere makes the file Corrupt, and the error names the file."""
    damaged = bytearray(SAMPLE)
    damaged[position] ^= flip
    with pytest.raises(Corrupt, match="ring-000001"):
        decode_epoch(bytes(damaged), "ring-000001.epoch")


@given(st.integers(0, len(SAMPLE) - 1), st.binary(max_size=3))
def test_a_cut_or_longer_file_is_refused(length: int, tail: bytes) -> None:
    """A file cut anywhere, or cut and continued otherwise, is Corrupt."""
    with pytest.raises(Corrupt):
        decode_epoch(SAMPLE[:length] + tail, "ring")
    with pytest.raises(Corrupt):
        decode_epoch(SAMPLE + b"x" + tail, "ring")


@given(st.integers(0, len(SAMPLE) - 17), st.binary(min_size=1, max_size=8))
def test_a_forged_file_is_refused_or_whole(position: int, patch: bytes) -> None:
    """With a matching checksum, broken fields are still Corrupt or a ring that can be walked."""
    body = bytearray(SAMPLE[:-16])
    body[position : position + len(patch)] = patch[: len(body) - position]
    forged = bytes(body) + xxhash.xxh3_128_digest(bytes(body))
    try:
        epoch = decode_epoch(forged, "ring")
    except Corrupt:
        return
    for width in epoch.tables:
        for partition in range(epoch.part_count):
            epoch.primaries(partition, width)


@given(st.binary(max_size=300))
def test_noise_is_no_ring_and_no_draft(data: bytes) -> None:
    """Arbitrary bytes never pass and never raise anything but Corrupt."""
    with pytest.raises(Corrupt):
        decode_epoch(data, "ring")
    with pytest.raises(Corrupt):
        decode_draft(data, "draft")


@given(drafts(), st.data())
def test_handoffs_are_every_other_usable_device_farthest_first(
    draft: Draft, data: st.DataObject
) -> None:
    """Never a primary, never weight 0, all others once; new regions, then zones, then nodes first."""
    epoch = build(draft, None).epoch
    width = data.draw(st.sampled_from(draft.widths))
    partition = data.draw(st.integers(0, epoch.part_count - 1))
    primaries = epoch.primaries(partition, width)
    order = list(epoch.handoffs(partition, width))
    assert order == list(epoch.handoffs(partition, width))
    usable = {one.id for one in epoch.devices if one.weight > 0}
    assert sorted(one.id for one in order) == sorted(usable - {one.id for one in primaries})
    used = [{rings.domains(one)[level] for one in primaries} for level in range(3)]
    for place, one in enumerate(order):
        for level in range(3):
            fresh = rings.domains(one)[level] not in used[level]
            could = any(rings.domains(other)[level] not in used[level] for other in order[place:])
            assert fresh or not could
            if fresh:
                break
        for level in range(3):
            used[level].add(rings.domains(one)[level])
