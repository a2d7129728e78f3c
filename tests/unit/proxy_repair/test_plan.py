"""Which partitions repair works on, in which order: from tables alone."""

from __future__ import annotations

from objectd import wire
from proxy.repair.plan import Give, Table, piece_work, range_work
from tests.local_cluster import ring_of

EPOCH = ring_of([f"unix:/s{number}" for number in range(6)])
REPLICATED, CODED = 0, 1
EMPTY = bytes(16)


def homes(policy: int, partition: int) -> list[int]:
    width = next(one.width for one in EPOCH.policies if one.id == policy)
    return [device.id for device in EPOCH.primaries(partition, width)]


def stray_of(policy: int, partition: int) -> int:
    return next(n for n in range(6) if n not in homes(policy, partition))


class Held:
    """Tables of six devices, row by row."""

    def __init__(self) -> None:
        self.tables = {device: Table({}, {}) for device in range(6)}

    def piece(self, device: int, key: tuple[int, int, int], count: int = 10) -> Held:
        row = wire.PiecesRow(*key, count, 100 * count, bytes([count]) * 16)
        self.tables[device].pieces[key] = row
        return self

    def full(self, policy: int, partition: int) -> Held:
        for position, device in enumerate(homes(policy, partition)):
            self.piece(device, (policy, partition, position if policy else 0))
        return self

    def lose(self, device: int, key: tuple[int, int, int]) -> Held:
        del self.tables[device].pieces[key]
        return self


def test_partitions_that_agree_are_no_work() -> None:
    """Replicas and fragments of the same blobs have equal rows."""
    held = Held().full(REPLICATED, 3).full(CODED, 4)
    assert piece_work(EPOCH, held.tables, range(6)) == ([], [])


def test_what_has_the_fewest_copies_comes_first() -> None:
    """A partition with one copy left before one with two, and a fragment too few before both."""
    held = Held().full(REPLICATED, 1).full(REPLICATED, 2).full(CODED, 3)
    first, second, _ = homes(REPLICATED, 2)
    held.lose(homes(REPLICATED, 1)[0], (REPLICATED, 1, 0))
    held.lose(first, (REPLICATED, 2, 0)).lose(second, (REPLICATED, 2, 0))
    held.lose(homes(CODED, 3)[2], (CODED, 3, 2))
    fills, gives = piece_work(EPOCH, held.tables, range(6))
    assert gives == []
    behind = [(fill.policy, fill.partition, fill.device) for fill in fills if fill.spare < 1]
    assert (REPLICATED, 1) not in {row[:2] for row in behind}
    assert {row[:2] for row in behind} == {(REPLICATED, 2), (CODED, 3)}
    assert [fill.spare for fill in fills] == sorted(fill.spare for fill in fills)


def test_an_agent_works_for_its_own_devices_only() -> None:
    """Each device that lacks something is filled by the agent of its node."""
    held = Held().full(REPLICATED, 1)
    lost = homes(REPLICATED, 1)[0]
    held.lose(lost, (REPLICATED, 1, 0))
    [fill], _ = piece_work(EPOCH, held.tables, [lost])
    assert fill.device == lost
    assert set(fill.sources) == set(homes(REPLICATED, 1)[1:])
    assert piece_work(EPOCH, held.tables, [stray_of(REPLICATED, 1)]) == ([], [])


def test_stand_ins_are_looked_through_and_give_up_what_they_hold() -> None:
    """By a primary whose peers agree with it, too: all of them may lack what only the stand-in has."""
    stray = stray_of(REPLICATED, 1)
    held = Held().full(REPLICATED, 1).piece(stray, (REPLICATED, 1, 0), 2)
    fills, gives = piece_work(EPOCH, held.tables, range(6))
    assert {fill.device for fill in fills} == set(homes(REPLICATED, 1))
    assert all(fill.sources == (stray,) for fill in fills)
    assert gives == [Give(REPLICATED, 1, stray, 0)]


def test_a_fragment_at_the_wrong_home_is_misplaced() -> None:
    """Equal digests do not hide it: each fragment number has a row of its own."""
    wrong = homes(CODED, 2)[0]
    held = Held().full(CODED, 2).piece(wrong, (CODED, 2, 1))
    _, gives = piece_work(EPOCH, held.tables, range(6))
    assert gives == [Give(CODED, 2, wrong, 1)]


def test_fragments_that_peers_lack_too_are_known() -> None:
    """So that one set of reads makes all of them."""
    held = Held().full(CODED, 2)
    a, b, c = homes(CODED, 2)
    held.lose(a, (CODED, 2, 0)).lose(b, (CODED, 2, 1))
    [fill], _ = piece_work(EPOCH, held.tables, [a])
    assert fill.lacking == (0, 1)
    assert fill.sources == (c,)


def test_a_device_that_does_not_answer_is_neither_source_nor_reason() -> None:
    """Its copies are not counted, so that others are made sure of first."""
    held = Held().full(REPLICATED, 1)
    away, lost, _ = homes(REPLICATED, 1)
    del held.tables[away]
    assert piece_work(EPOCH, held.tables, range(6)) == ([], [])
    held.lose(lost, (REPLICATED, 1, 0))
    [fill], _ = piece_work(EPOCH, held.tables, [lost])
    assert away not in fill.sources
    assert fill.spare == 0


def test_ranges_are_compared_by_partition() -> None:
    """Only with the replicas of the partition, and only where they differ."""
    held = Held()
    a, b, c = (device.id for device in EPOCH.primaries(5, 3))
    for device, digest in ((a, b"1"), (b, b"1"), (c, b"2")):
        held.tables[device].ranges[5] = wire.RangesOfRow(5, 1, 1, digest * 16)
    held.tables[stray_of(REPLICATED, 5)].ranges[5] = wire.RangesOfRow(5, 1, 1, b"3" * 16)
    assert range_work(EPOCH, held.tables, a) == {5: [c]}
    assert range_work(EPOCH, held.tables, c) == {5: sorted([a, b])}
    assert range_work(EPOCH, held.tables, stray_of(REPLICATED, 5)) == {}
    del held.tables[a].ranges[5]
    assert range_work(EPOCH, held.tables, a) == {5: sorted([b, c])}
