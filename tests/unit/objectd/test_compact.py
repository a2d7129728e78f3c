"""Compaction gives space back, moves nothing that died meanwhile, and never gets in its own way."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Corrupt
from core.limits import MIB
from objectd import compact, wire
from objectd.compact import Candidate, choose
from objectd.device import FULL_RESERVE_BYTES
from tests.unit.objectd.node import Node, ballot, body_parts
from tests.unit.objectd.test_server import on_node

BIG = b"x" * MIB


@given(
    st.lists(
        st.builds(
            lambda total, live: (total, min(total, live)),
            st.integers(0, 300 * MIB),
            st.integers(0, 300 * MIB),
        ),
        max_size=6,
    ),
    st.one_of(st.none(), st.integers(-MIB, 400 * MIB)),
)
def test_the_deadest_segment_that_fits_is_chosen(sizes, room_bytes) -> None:
    """Worth the copying, within the room there is, lowest living share first."""
    candidates = [Candidate(n, total, live) for n, (total, live) in enumerate(sizes)]
    chosen = choose(candidates, ratio_max=0.6, room_bytes=room_bytes)
    worth = [
        one
        for one in candidates
        if one.total_bytes - one.live_bytes >= compact.DEAD_BYTES_MIN
        and one.live_bytes <= 0.6 * one.total_bytes
        and (room_bytes is None or one.live_bytes <= max(0, room_bytes))
    ]
    if not worth:
        assert chosen is None
        return
    best = next(one for one in worth if one.segment == chosen)
    assert all(
        best.live_bytes * one.total_bytes <= one.live_bytes * best.total_bytes for one in worth
    )


async def seal(node: Node) -> None:
    """What comes next begins a new segment."""
    node.device.log.roll()
    frame = await node.accept(b"seal", ballot(node.device.log.active), body_parts(1))
    assert frame.status == wire.OK


async def drop(node: Node, *blobs: bytes) -> None:
    frame = await node.call(wire.DROP_BLOBS, wire.DropBlobs(list(blobs)))
    assert frame.status == wire.OK


def test_a_mostly_dead_segment_is_copied_out_and_removed() -> None:
    """What lives is readable at its new place, before and after a restart; the file is gone."""

    async def work(node: Node) -> None:
        parts = body_parts(1, meta_bytes=5000)
        await node.accept(b"alive", ballot(5), parts)
        await node.put_blob(b"a" * 16, b"alive")
        await node.put_blob(b"d" * 16, BIG + BIG)
        await seal(node)
        await drop(node, b"d" * 16)
        before = node.platter.used_bytes()
        assert await compact.compact_once(node.device) == 1
        assert await compact.compact_once(node.device) is None
        assert node.device.log.segments == [2]
        assert before - node.platter.used_bytes() > 2 * MIB
        for power_loss in (False, True):
            assert bytes((await node.read(b"alive")).body) == b"".join(parts)
            assert bytes((await node.get_blob(b"a" * 16)).body) == b"alive"
            assert (await node.get_blob(b"d" * 16)).status == wire.ABSENT
            await node.restart(power_loss=power_loss)

    on_node(work)


def test_state_outlives_the_segment_it_was_written_in() -> None:
    """The promise ceiling and fences are kept, the newest of each."""

    async def work(node: Node) -> None:
        now = node.world.env().wall_us()
        await node.prepare(b"n", ballot(now))
        ceiling_us = node.device.stored_ceiling_us
        await node.call(wire.FENCE, wire.Fence(b"f" * 16, 3, wire.ANY_CONFIG))
        await node.put_blob(b"d" * 16, BIG + BIG)
        await seal(node)
        await drop(node, b"d" * 16)
        assert await compact.compact_once(node.device) == 1
        await node.restart(power_loss=True)
        assert node.device.stored_ceiling_us == ceiling_us
        assert node.device.stats(b"f" * 16).stage == 3
        assert (await node.prepare(b"n", ballot(now - 1))).status == wire.REFUSED

    on_node(work)


def test_a_blob_dropped_while_it_is_copied_stays_dropped() -> None:
    """Whatever step of the copying the drop meets, also when the index is built again."""
    for delay in range(12):

        async def work(node: Node, delay: int = delay) -> None:
            await node.put_blob(b"b" * 16, b"bytes")
            await node.accept(b"alive", ballot(5), body_parts(1))
            await seal(node)

            async def late_drop() -> None:
                for _ in range(delay):
                    await asyncio.sleep(0.0002)
                await drop(node, b"b" * 16)

            await asyncio.gather(compact.compact_segment(node.device, 1), late_drop())
            assert (await node.get_blob(b"b" * 16)).status == wire.ABSENT
            await node.restart(power_loss=True)
            assert (await node.get_blob(b"b" * 16)).status == wire.ABSENT

        on_node(work)


def test_a_dropped_blob_does_not_come_back_when_its_drop_is_compacted() -> None:
    """An older segment still has its bytes; a blob put again after the drop stays."""

    async def work(node: Node) -> None:
        await node.put_blob(b"o" * 16, b"old")
        await node.put_blob(b"r" * 16, b"returns")
        await seal(node)
        await drop(node, b"o" * 16, b"r" * 16)
        assert await node.put_blob(b"r" * 16, b"returns") == wire.OK
        await seal(node)
        for _ in range(2):
            sealed = [n for n in node.device.log.segments[1:] if n != node.device.log.active]
            await compact.compact_segment(node.device, sealed[0])
            await seal(node)
        await node.restart(power_loss=True)
        assert node.device.log.segments[0] == 1
        assert (await node.get_blob(b"o" * 16)).status == wire.ABSENT
        assert bytes((await node.get_blob(b"r" * 16)).body) == b"returns"

    on_node(work)


def test_a_blob_that_does_not_verify_keeps_its_segment_until_it_is_replaced() -> None:
    """It is not copied as if it were good, and counts as missing; other segments are compacted meanwhile."""
    logging.getLogger("ringstack.objectd").setLevel(logging.CRITICAL)

    async def work(node: Node) -> None:
        await node.put_blob(b"b" * 16, b"will go bad")
        await node.put_blob(b"c" * 16, BIG + BIG + BIG)
        await seal(node)
        await node.put_blob(b"e" * 16, BIG + BIG)
        await node.put_blob(b"f" * 16, b"alive" * MIB)
        await seal(node)
        await drop(node, b"c" * 16, b"e" * 16)
        node.flip(b"will go bad")
        done = []
        while (segment := await compact.compact_once(node.device, ratio_max=0.8)) is not None:
            done.append(segment)
        assert done == [1, 2]
        assert node.device.log.segments == [1, 3]
        assert (await node.get_blob(b"b" * 16)).status == wire.CORRUPT
        assert not node.device.has_good(b"b" * 16, 0)
        [lost] = node.device.damage.told(9).pieces
        assert (lost.blob, lost.total) == (b"b" * 16, 11)
        [kept] = node.disk.list_directory("quarantine")
        assert b"b" * 16 in (node.disk.read_file(f"quarantine/{kept}") or b"")
        await node.put_blob(b"b" * 16, b"will be good")
        assert await compact.compact_once(node.device, ratio_max=0.8) == 1
        assert node.device.log.segments == [3]
        assert node.device.damage.told(9).pieces == []
        assert (await node.get_blob(b"f" * 16)).status == wire.OK

    on_node(work)
    logging.getLogger("ringstack.objectd").setLevel(logging.NOTSET)


def test_a_copy_never_replaces_a_newer_record() -> None:
    """A register that is written while its old record is copied keeps the new one."""

    async def work(node: Node) -> None:
        await node.accept(b"n", ballot(5), body_parts(1))
        await seal(node)
        await asyncio.gather(
            compact.compact_segment(node.device, 1), node.accept(b"n", ballot(6), body_parts(2))
        )
        for _ in range(2):
            assert bytes((await node.read(b"n")).body) == b"".join(body_parts(2))
            await node.restart(power_loss=True)

    on_node(work)


def test_readers_of_a_segment_that_goes_get_their_bytes() -> None:
    """A blob is looked up again when compaction moved it under a read."""

    async def work(node: Node) -> None:
        await node.put_blob(b"b" * 16, b"moved")
        await seal(node)
        reads = []
        for _ in range(40):
            reads.append(asyncio.ensure_future(node.get_blob(b"b" * 16)))
            if len(reads) == 10:
                reads.append(
                    asyncio.ensure_future(compact.compact_segment(node.device, 1))  # type: ignore[arg-type]
                )
            await asyncio.sleep(0.0003)
        answers = [frame for frame in await asyncio.gather(*reads) if frame is not None]
        assert {bytes(frame.body) for frame in answers} == {b"moved"}
        assert node.device.log.segments == [2]

    on_node(work)


def test_a_nearly_full_device_gets_its_space_back() -> None:
    """The segment being written is closed when it is mostly dead, and only what fits is copied."""

    async def work(node: Node) -> None:
        await node.put_blob(b"a" * 16, b"alive")
        for number in range(8):
            await node.put_blob(b"%016d" % number, BIG)
        node.platter.capacity_bytes = node.platter.used_bytes() + FULL_RESERVE_BYTES
        node.device.status()
        assert await node.put_blob(b"z" * 16, BIG) == wire.FULL
        assert await compact.compact_once(node.device) is None
        await drop(node, *(b"%016d" % number for number in range(8)))
        assert await compact.compact_once(node.device) == 1
        assert await node.put_blob(b"z" * 16, BIG) == wire.OK
        assert bytes((await node.get_blob(b"a" * 16)).body) == b"alive"

    on_node(work)


def test_a_segment_still_in_use_is_never_removed() -> None:
    """Not even when the account of it is wrong: then it stays."""

    async def work(node: Node) -> None:
        await node.put_blob(b"b" * 16, b"bytes")
        await seal(node)
        node.device._segment_live[1] += 1
        with pytest.raises(Corrupt, match="in use"):
            await compact.compact_segment(node.device, 1)
        assert 1 in node.device.log.segments

    on_node(work)
