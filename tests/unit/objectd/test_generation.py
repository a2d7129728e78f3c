"""Generations of a device: what it held when one rose, what it refuses after, and how old its pieces are."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from core.limits import MIB
from objectd import compact, wire
from tests.unit.objectd.node import RANGE, Node, ballot, body_parts
from tests.unit.objectd.test_reclaim import seal
from tests.unit.objectd.test_server import on_node

BLOB, OTHER = b"b" * 16, b"c" * 16
NAMES = wire.LIVE | wire.NAMES


async def begin(node: Node, number: int) -> wire.GenerationState:
    frame = await node.call(wire.BEGIN_SWEEP, wire.SweepCall(number))
    assert frame.status == wire.OK
    return wire.decode_generation(frame.head)


async def name(
    node: Node, what: bytes, clock: int, *, basis: int, stamp: int, meta: int = 20
) -> int:
    parts = body_parts(clock, meta_bytes=meta, inline_bytes=0)
    head, body = node.accept_call(what, ballot(clock), parts, flags=NAMES)
    call = msgspec.structs.replace(head, basis=basis, stamp=stamp)
    return (await node.call(wire.ACCEPT, call, body)).status


async def naming(node: Node, number: int) -> list[bytes] | int:
    """Metas of everything that named blobs when the generation rose; a status when that is not known."""
    found: list[bytes] = []
    for replaced in (False, True):
        after = b""
        while True:
            frame = await node.call(wire.NAMING, wire.NamingCall(number, replaced, after))
            if frame.status != wire.OK:
                return frame.status
            page = wire.decode_naming(frame.body)
            found += [row.meta for row in page.rows]
            after = page.after
            if not after:
                break
    return sorted(found)


def meta_of(clock: int, meta: int = 20) -> bytes:
    return body_parts(clock, meta_bytes=meta)[1]


async def stamps(node: Node) -> dict[bytes, int]:
    frame = await node.call(wire.BLOBS, wire.BlobsCall(b"", 100))
    return {row.blob: row.stamp for row in wire.decode_blobs(frame.body)}


async def touch(node: Node, *blobs: bytes) -> list[int | None]:
    frame = await node.call(wire.TOUCH, wire.TouchCall(list(blobs)))
    assert frame.status == wire.OK
    return wire.decode_stamps(frame.body)


async def drop_below(node: Node, below: int, *blobs: bytes) -> int:
    return (await node.call(wire.DROP_BLOBS, wire.DropBlobs(list(blobs), below))).status


def test_what_is_replaced_after_a_generation_rose_is_still_told() -> None:
    """Also after the process died; and large records, from the log."""

    async def work(node: Node) -> None:
        for what, meta in ((b"a", 20), (b"b", 5000), (b"c", 20)):
            assert await name(node, what, 5, basis=0, stamp=0, meta=meta) == wire.OK
        await node.accept(b"inline", ballot(5), body_parts(9))
        held = sorted([meta_of(5), meta_of(5, 5000), meta_of(5)])
        assert (await begin(node, 1)).whole
        assert await naming(node, 1) == held
        assert await name(node, b"a", 6, basis=1, stamp=1) == wire.OK
        assert await name(node, b"b", 7, basis=1, stamp=1) == wire.OK
        assert await name(node, b"b", 8, basis=1, stamp=1) == wire.OK
        everything = sorted([*held, meta_of(6), meta_of(7), meta_of(8)])
        assert await naming(node, 1) == everything
        await node.restart()
        assert await naming(node, 1) == everything
        node.device.commit_index()
        await node.restart()
        assert await naming(node, 1) == everything
        await node.call(wire.END_SWEEP, wire.SweepCall(1))
        assert await naming(node, 1) == wire.ABSENT
        node.device.commit_index()
        assert not list(node.device.index.scan(b"W", b"X"))
        assert (await begin(node, 2)).whole
        assert await naming(node, 2) == sorted([meta_of(6), meta_of(8), meta_of(5)])

    on_node(work)


def test_what_a_device_forgets_meanwhile_is_still_told() -> None:
    """A range that leaves it may be forgotten in the middle of a pass."""

    async def work(node: Node) -> None:
        await name(node, b"a", 5, basis=0, stamp=0)
        await begin(node, 1)
        answers: list[OSError | None] = []
        node.device.reclaim.write_forget(RANGE, [(b"a", ballot(5))], answers.append)
        await node.device.log.idle()
        assert answers == [None]
        assert node.device.register(RANGE, b"a") is None
        assert await naming(node, 1) == [meta_of(5)]

    on_node(work)


def test_a_device_that_had_to_rebuild_its_index_says_that_it_cannot_tell() -> None:
    """What was replaced may be gone from the log; the next generation is whole again."""

    async def work(node: Node) -> None:
        await name(node, b"a", 5, basis=0, stamp=0)
        await begin(node, 1)
        await node.restart(power_loss=True)
        assert await naming(node, 1) == wire.ABSENT
        assert not (await begin(node, 1)).whole
        assert node.device.generation.number == 1
        assert (await begin(node, 2)).whole
        assert await naming(node, 2) == [meta_of(5)]

    on_node(work)


def test_a_segment_with_replaced_records_waits_for_the_end_of_the_pass() -> None:
    """Their bodies may be only there."""

    async def work(node: Node) -> None:
        await name(node, b"a", 5, basis=0, stamp=0, meta=5000)
        await node.put_blob(BLOB, b"x" * 2 * MIB)
        await seal(node)
        await begin(node, 1)
        await name(node, b"a", 6, basis=1, stamp=1)
        await node.call(wire.DROP_BLOBS, wire.DropBlobs([BLOB]))
        assert await compact.compact_once(node.device) is None
        await node.restart()
        assert await compact.compact_once(node.device) is None
        assert await naming(node, 1) == sorted([meta_of(5, 5000), meta_of(6)])
        await node.call(wire.END_SWEEP, wire.SweepCall(1))
        assert await compact.compact_once(node.device) == 1

    on_node(work)


def test_records_built_on_older_readings_or_older_blobs_are_refused() -> None:
    """The first may try again, the second may not; a record that names nothing is free."""

    async def work(node: Node) -> None:
        assert await name(node, b"a", 5, basis=0, stamp=0) == wire.OK
        await begin(node, 3)
        assert await name(node, b"a", 6, basis=2, stamp=3) == wire.REFUSED
        assert await name(node, b"a", 6, basis=3, stamp=1) == wire.LATE
        assert await name(node, b"a", 6, basis=3, stamp=2) == wire.OK
        assert await name(node, b"a", 7, basis=3, stamp=wire.NOTHING_NEW) == wire.OK
        assert (await node.accept(b"a", ballot(8), body_parts(1))).status == wire.OK
        assert wire.decode_held((await node.read(b"a")).head).generation == 3

    on_node(work)


def test_a_generation_counts_from_the_moment_it_is_on_its_way() -> None:
    """A record that would come behind it in the log is not among what was held."""

    async def work(node: Node) -> None:
        answers: list[OSError | None] = []
        node.device.generation.raise_to(1, answers.append)
        assert await name(node, b"a", 5, basis=0, stamp=0) == wire.REFUSED
        await node.device.log.idle()
        assert answers == [None]
        assert await naming(node, 1) == []

    on_node(work)


def test_a_prepare_brings_news_of_a_higher_generation() -> None:
    """A device that missed the beginning of a pass adopts it before it promises."""

    async def work(node: Node) -> None:
        call = wire.Prepare(RANGE, b"n", ballot(5), wire.WANT_ALL, 4)
        held = wire.decode_held((await node.call(wire.PREPARE, call)).head)
        assert held.generation == node.device.generation.number == 4
        await node.restart(power_loss=True)
        assert node.device.generation.number == 4

    on_node(work)


def test_stamps_are_the_generation_of_writing_or_touching() -> None:
    """Drops with a bound spare what is younger, and what is being touched or written."""

    async def work(node: Node) -> None:
        await node.put_blob(BLOB, b"old")
        await begin(node, 1)
        await node.put_blob(OTHER, b"newer")
        assert await stamps(node) == {BLOB: 0, OTHER: 1}
        await begin(node, 2)
        assert await drop_below(node, 2, OTHER) == wire.BAD
        assert await drop_below(node, 1, OTHER) == wire.OK
        assert await touch(node, BLOB, b"x" * 16) == [2, None]
        assert await drop_below(node, 1, BLOB) == wire.OK
        assert await stamps(node) == {BLOB: 2, OTHER: 1}
        await begin(node, 3)
        assert await drop_below(node, 2, BLOB, OTHER) == wire.OK
        assert await stamps(node) == {BLOB: 2}
        first, second = await asyncio.gather(touch(node, BLOB), drop_below(node, 2, BLOB))
        assert (first, second) == ([3], wire.OK)
        assert await stamps(node) == {BLOB: 3}
        assert await node.call(wire.DROP_BLOBS, wire.DropBlobs([BLOB]))
        assert await touch(node, BLOB) == [None]

    on_node(work)


@pytest.mark.parametrize("delay", range(10))
def test_a_touch_outlives_compaction_and_the_index(delay: int) -> None:
    """Whatever step of the copying it meets."""

    async def work(node: Node) -> None:
        await node.put_blob(BLOB, b"bytes")
        await seal(node)
        await begin(node, 1)

        async def late_touch() -> None:
            for _ in range(delay):
                await asyncio.sleep(0)
            assert await touch(node, BLOB) == [1]

        await asyncio.gather(late_touch(), compact.compact_segment(node.device, 1))
        await seal(node)
        for power_loss in (False, True):
            await node.restart(power_loss=power_loss)
            assert (await stamps(node))[BLOB] == 1
        for segment in node.device.log.segments[:-1]:
            await compact.compact_segment(node.device, segment)
        await node.restart(power_loss=True)
        assert (await stamps(node))[BLOB] == 1
        assert bytes((await node.get_blob(BLOB)).body) == b"bytes"
        assert node.device.generation.number == 1

    on_node(work)
