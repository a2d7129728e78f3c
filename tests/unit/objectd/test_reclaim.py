"""Floors and forgotten names: nothing at or below a floor comes back, whatever happens to the device."""

from __future__ import annotations

import msgspec

from core.limits import MIB
from objectd import compact, wire
from tests.unit.objectd.node import RANGE, Node, ballot, body_parts
from tests.unit.objectd.test_server import on_node

GRAVE = (b"", b"\x93\xc4\x00\x90\xc0", b"")  # summary, an envelope around nil, inline
BLOB = b"b" * 16


async def seal(node: Node) -> None:
    """What comes next begins a new segment."""
    node.device.log.roll()
    assert await node.put_blob(b"%016d" % node.device.log.active, b"seal") == wire.OK


async def bury(node: Node, name: bytes, clock: int) -> None:
    frame = await node.accept(name, ballot(clock), GRAVE, flags=wire.GONE)
    assert frame.status == wire.OK


async def raise_floor(node: Node, floor: bytes) -> int:
    return (await node.call(wire.FLOOR, wire.Floor(RANGE, wire.ANY_CONFIG, floor))).status


async def reclaim(node: Node, *names: tuple[bytes, bytes]) -> int:
    frame = await node.call(wire.RECLAIM, wire.RowsCall(RANGE, wire.ANY_CONFIG, list(names)))
    assert frame.status == wire.OK
    return wire.decode_count(frame.body)


async def tombstones(node: Node, upto: bytes = b"\xff" * 16) -> list[tuple[bytes, bytes]]:
    frame = await node.call(wire.TOMBSTONES, wire.TombstonesCall(RANGE, wire.ANY_CONFIG, b"", upto))
    return wire.decode_tombstones(frame.body).rows


async def chosen(node: Node, name: bytes, clock: int, *, gone: bool, floor: bytes = b"") -> int:
    """Repair tells what a majority holds."""
    parts = GRAVE if gone else body_parts(clock)
    flags = wire.GONE if gone else wire.LIVE
    head, body = node.accept_call(name, ballot(clock), parts, flags=flags)
    call = msgspec.structs.replace(head, chosen=True, floor=floor)
    return (await node.call(wire.ACCEPT, call, body)).status


def test_nothing_at_or_below_the_floor_is_promised_or_accepted() -> None:
    """Refused with the floor, so that a proposer bids higher; also after a restart; answers carry it."""

    async def work(node: Node) -> None:
        now = node.world.env().wall_us()
        assert await raise_floor(node, ballot(now)) == wire.OK
        assert await raise_floor(node, ballot(5)) == wire.OK
        for power_loss in (False, True):
            for clock in (now, now - 1):
                for frame in (
                    await node.prepare(b"n", ballot(clock)),
                    await node.accept(b"n", ballot(clock), body_parts(1)),
                ):
                    assert frame.status == wire.REFUSED
                    assert wire.decode_refusal(frame.head).ballot >= ballot(now)
            held = wire.decode_held((await node.read(b"n")).head)
            assert held.floor == ballot(now)
            await node.restart(power_loss=power_loss)
        above = ballot(now + 10**7)
        promised = wire.decode_held((await node.prepare(b"n", above)).head)
        assert promised.floor == ballot(now)
        assert (await node.accept(b"n", above, body_parts(1))).status == wire.OK
        assert wire.decode_held((await node.read(b"n")).head).floor == ballot(now)

    on_node(work)


def test_a_floor_counts_from_the_moment_it_is_on_its_way() -> None:
    """What comes behind it is refused, although the disk has not answered yet."""

    async def work(node: Node) -> None:
        answers: list[OSError | None] = []
        node.device.reclaim.write_floor(RANGE, ballot(9), answers.append)
        frame = await node.accept(b"n", ballot(8), body_parts(1))
        assert frame.status == wire.REFUSED
        await node.device.log.idle()
        assert answers == [None]

    on_node(work)


def test_only_tombstones_at_just_that_ballot_below_the_floor_are_forgotten() -> None:
    """Everything else that is asked for stays, and nothing is written for it."""

    async def work(node: Node) -> None:
        await node.accept(b"live", ballot(5), body_parts(1))
        await bury(node, b"dead", 5)
        await bury(node, b"newer", 7)
        assert await reclaim(node, (b"dead", ballot(5))) == 0  # above the floor
        assert await raise_floor(node, ballot(6)) == wire.OK
        position = node.device.log.position
        others = [
            (b"live", ballot(5)),
            (b"dead", ballot(4)),
            (b"newer", ballot(7)),
            (b"x", b"x" * 16),
        ]
        assert await reclaim(node, *others) == 0
        assert node.device.log.position == position
        holds = await node.call(
            wire.HOLDS, wire.RowsCall(RANGE, wire.ANY_CONFIG, [*others, (b"dead", ballot(5))])
        )
        assert wire.decode_have(holds.body) == [False, False, True, False, True]
        assert await tombstones(node, ballot(6)) == [(b"dead", ballot(5))]
        assert await reclaim(node, (b"dead", ballot(5))) == 1
        assert await tombstones(node) == [(b"newer", ballot(7))]
        assert await node.names() == ["live"]
        stats = node.device.stats(RANGE)
        assert (stats.live_count, stats.held) == (1, 2)

    on_node(work)


def test_what_repair_brings_late_is_let_in_only_if_it_is_dead() -> None:
    """A tombstone again is harmless; a record that it had ended is not."""

    async def work(node: Node) -> None:
        await bury(node, b"n", 5)
        await raise_floor(node, ballot(6))
        assert await reclaim(node, (b"n", ballot(5))) == 1
        assert await chosen(node, b"n", 4, gone=False) == wire.REFUSED
        assert await chosen(node, b"n", 5, gone=True) == wire.OK
        assert await tombstones(node) == [(b"n", ballot(5))]
        assert await reclaim(node, (b"n", ballot(5))) == 1

    on_node(work)


def test_a_record_that_a_majority_held_under_the_floor_is_let_in() -> None:
    """Then no tombstone ended it before the floor rose, and a replica that lags must learn it."""

    async def work(node: Node) -> None:
        await raise_floor(node, ballot(6))
        assert await chosen(node, b"n", 4, gone=False, floor=ballot(5)) == wire.REFUSED
        assert await chosen(node, b"n", 4, gone=False, floor=ballot(6)) == wire.OK
        assert await node.names() == ["n"]

    on_node(work)


def test_the_record_under_a_forgotten_tombstone_stays_dead() -> None:
    """Its bytes may be in an older segment than the tombstone's, which compaction removes first."""

    async def work(node: Node) -> None:
        await node.accept(b"n", ballot(4), body_parts(4))
        await seal(node)
        await node.put_blob(BLOB, b"x" * 2 * MIB)
        await bury(node, b"n", 5)
        await seal(node)
        await raise_floor(node, ballot(6))
        assert await reclaim(node, (b"n", ballot(5))) == 1
        await node.call(wire.DROP_BLOBS, wire.DropBlobs([BLOB]))
        await seal(node)
        assert node.device.log.segments == [1, 2, 3, 4]
        for segment in (2, 3):  # the tombstone's, then that of the record which forgets it
            await compact.compact_segment(node.device, segment)
        for power_loss in (False, True, True):
            await node.restart(power_loss=power_loss)
            assert (await tombstones(node), "n" in await node.names()) == ([], False)
            frame = await node.accept(b"n", ballot(6), body_parts(1))
            assert frame.status == wire.REFUSED
        await seal(node)
        while sealed := node.device.log.segments[:-1]:
            await compact.compact_segment(node.device, sealed[0])
        await node.restart(power_loss=True)
        assert "n" not in await node.names()
        assert node.device.stats(RANGE).floor == ballot(6)

    on_node(work)


def test_a_page_of_tombstones_ends_and_goes_on() -> None:
    """More rows than one look takes, long names included."""

    async def work(node: Node) -> None:
        names = [b"%05d" % number for number in range(6000)] + [b"n" * 900, b"n" * 900 + b"x"]
        answers: list[OSError | None] = []
        for name in names:
            head, body = node.accept_call(name, ballot(5), GRAVE, flags=wire.GONE)
            node.device.write_register(head, body, answers.append)
        await node.device.log.idle()
        found, after = [], b""
        pages = 0
        while pages == 0 or after:
            call = wire.TombstonesCall(RANGE, wire.ANY_CONFIG, after, ballot(5))
            page = wire.decode_tombstones((await node.call(wire.TOMBSTONES, call)).body)
            found += [name for name, _ in page.rows]
            after = page.after
            pages += 1
        assert sorted(found) == sorted(names)
        assert pages == 2

    on_node(work)
