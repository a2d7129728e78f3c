"""Rot anywhere in the log is found by the scrub, taken out of service, and repair is told."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest

from core.checksum import block_sums
from core.limits import MIB
from objectd import compact, wire
from objectd import record as records
from objectd.scrub import POSITION, Scrub
from tests.model.device_state import check_tallies
from tests.unit.objectd.node import RANGE, Node, ballot, body_parts
from tests.virtual import World, run

SEGMENT = "log/00000001.seg"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.getLogger("ringstack.objectd").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("ringstack.objectd").setLevel(logging.NOTSET)


def on_node(work: Any) -> None:
    async def main(world: World) -> None:
        await work(await Node(world).start())

    run(main)


BLOBS = [bytes([number]) * 16 for number in range(1, 7)]
NAMES = [b"name%d" % number for number in range(6)]


def data_of(blob: bytes) -> bytes:
    return random.Random(blob).randbytes(100_000)


async def fill(node: Node) -> None:
    """Blobs and registers in turn, a fence and a drop between them."""
    for number, (blob, name) in enumerate(zip(BLOBS, NAMES, strict=True)):
        assert await node.put_blob(blob, data_of(blob)) == wire.OK
        assert (
            await node.accept(name, ballot(5), body_parts(number, inline_bytes=300))
        ).status == 0
        if number == 2:
            await node.call(wire.FENCE, wire.Fence(b"f" * 16, 3, wire.ANY_CONFIG))
            await node.put_blob(b"x" * 16, b"short lived")
            await node.call(wire.DROP_BLOBS, wire.DropBlobs([b"x" * 16]))


def places(node: Node) -> list[tuple[int, int, int, int]]:
    """(kind, offset, key + header bytes, total) of every record and mark of the first segment."""
    return [
        (
            0 if met.key[:16] == b"x" * 16 else met.header.kind,
            met.place.offset,
            records.HEADER_BYTES + met.header.key_bytes + met.header.head_bytes,
            met.place.length,
        )
        for met in node.device.log.walk_verified(1)
    ]


async def whole(node: Node) -> tuple[set[bytes], set[bytes]]:
    """What can be read, every byte of it right; and nothing else is ever sent."""
    blobs, names = set(), set()
    for blob in BLOBS:
        frame = await node.get_blob(blob)
        assert frame.status in {wire.OK, wire.CORRUPT, wire.ABSENT}
        if frame.status == wire.OK:
            assert bytes(frame.body) == data_of(blob)
            blobs.add(blob)
    for number, name in enumerate(NAMES):
        frame = await node.read(name)
        assert frame.status in {wire.OK, wire.CORRUPT}
        if frame.status == wire.OK:
            assert bytes(frame.body) == b"".join(body_parts(number, inline_bytes=300))
            names.add(name)
    return blobs, names


def test_a_sound_device_is_read_from_end_to_end() -> None:
    """Nothing is found, and the round is counted; the position is kept."""

    async def work(node: Node) -> None:
        await fill(node)
        scrub = Scrub(node.device)
        assert await scrub.round() == 0
        status = node.device.status()
        assert (status.scrub_rounds, status.damaged) == (1, 0)
        await node.restart()
        Scrub(node.device)
        assert node.device.status().scrub_rounds == 1

    on_node(work)


@pytest.mark.parametrize("where", ["magic", "lengths", "checksum", "key", "head", "body"])
def test_every_kind_of_record_may_rot_in_every_part(where: str) -> None:
    """One record at a time: what it held is missed, what others hold is served, nothing wrong is sent."""

    async def work(node: Node) -> None:
        await fill(node)
        platter = node.platter.files[SEGMENT]
        sound = bytes(platter)
        marks = {0, records.GROUP, records.FENCE, records.DROP, records.CEILING}
        for kind, offset, front, total in places(node):
            at = {
                "magic": offset,
                "lengths": offset + 8,
                "checksum": offset + 40,
                "key": offset + records.HEADER_BYTES,
                "head": offset + front - 1,
                "body": offset + total - 1,
            }[where]
            if at >= offset + total:
                continue
            platter[at] ^= 0x10
            found = await Scrub(node.device).round()
            blobs, names = await whole(node)
            check_tallies(node.device)
            told = node.device.damage.told(99)
            lost = (len(BLOBS) - len(blobs), len(NAMES) - len(names))
            if kind == records.BLOB:
                assert (found, lost) == (1, (1, 0))
            elif kind == records.REGISTER:
                assert (found, lost) == (1, (0, 1))
            else:  # what counts no more, or is known from the index
                assert kind in marks
                assert (found, lost) == (0, (0, 0))
                assert 1 in node.device.damage.broken_segments or not kind
            assert (len(told.pieces), len(told.registers)) == lost
            assert all(node.device.has_good(blob, 0) == (blob in blobs) for blob in BLOBS)
            platter[:] = sound
            await restore(node, told)
            node.platter.files = {SEGMENT: platter}
            del platter[len(sound) :]
            await node.restart(power_loss=True)

    on_node(work)


async def restore(node: Node, told: wire.Damages) -> None:
    """What repair would do; then nothing is missed."""
    for piece in told.pieces:
        data = data_of(piece.blob)
        head = wire.PutBlob(piece.blob, piece.fragment, RANGE, len(data), block_sums(data))
        assert (await node.call(wire.PUT_BLOB, head, data)).status == wire.OK
    for register in told.registers:
        number = NAMES.index(register.name)
        parts = body_parts(number, inline_bytes=300)
        assert (await node.accept(register.name, ballot(5), parts)).status == wire.OK
    assert node.device.damage.told(9) == wire.Damages([], [])
    assert node.device.status().damaged == 0


def test_a_broken_segment_is_salvaged_and_replaced() -> None:
    """Also when a fence was what rotted: its stage is written again, and an index can be rebuilt."""

    async def work(node: Node) -> None:
        await fill(node)
        node.device.log.roll()
        await node.put_blob(b"y" * 16, b"begins the next segment")
        broken = [offset for kind, offset, _, _ in places(node) if kind == records.FENCE]
        blob_at = [offset for kind, offset, _, _ in places(node) if kind == records.BLOB][4]
        node.platter.files[SEGMENT][broken[0]] ^= 1
        node.platter.files[SEGMENT][blob_at + 5000] ^= 1
        assert await Scrub(node.device).round() == 1
        told = node.device.damage.told(9)
        assert await compact.compact_once(node.device) == 1
        assert 1 in node.device.log.segments
        assert await compact.compact_once(node.device) is None
        await restore(node, told)
        assert await compact.compact_once(node.device) == 1
        assert 1 not in node.device.log.segments
        await node.restart(power_loss=True)
        assert await whole(node) == (set(BLOBS), set(NAMES))
        assert node.device.stats(b"f" * 16).stage == 3
        assert await Scrub(node.device).round() == 0

    on_node(work)


def test_what_was_forgotten_stays_forgotten_when_its_note_rots() -> None:
    """An older version lies in an older segment; a rebuild must not find it once the note is gone."""

    async def work(node: Node) -> None:
        device = node.device
        await node.accept(b"gone", ballot(5), body_parts(1))
        await node.accept(b"kept", ballot(5), body_parts(2))
        device.log.roll()
        await node.accept(b"gone", ballot(6), (b"", b"nil", b""), flags=wire.GONE)
        done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
        device.reclaim.write_forget(RANGE, [(b"gone", ballot(6))], done.set_result)
        assert await done is None
        device.log.roll()
        await node.put_blob(b"y" * 16, b"begins the next segment")
        assert device.register(RANGE, b"gone") is None
        [at] = [
            met.place.offset
            for met in device.log.walk_verified(2)
            if met.header.kind == records.FORGET
        ]
        node.platter.files["log/00000002.seg"][at + 20] ^= 1
        await Scrub(device).round()
        assert device.damage.broken_segments == {2}
        assert await compact.compact_once(device) == 2
        assert device.log.segments[0] > 2
        await node.restart(power_loss=True)
        assert node.device.register(RANGE, b"gone") is None
        assert bytes((await node.read(b"kept")).body) == b"".join(body_parts(2))

    on_node(work)


@pytest.mark.parametrize("met_by", ["read", "prepare", "accept", "list", "scrub"])
def test_an_index_that_rots_is_built_again(met_by: str) -> None:
    """Rows that listings and small reads come from are verified: no wrong byte, and a new index from the log."""

    async def work(node: Node) -> None:
        await fill(node)
        index = node.device.index
        [(key, value)] = [
            (key, value) for key, value in index.scan(b"R", b"S") if key.endswith(NAMES[2])
        ]
        for at in (3, 20, 90, len(value) - 1):
            rotten = bytearray(value)
            rotten[at] ^= 4
            node.device.index.put(key, bytes(rotten))
            if met_by == "read":
                assert (await node.read(NAMES[2], wire.WANT_META)).status == wire.FAILED
            elif met_by == "prepare":
                assert (await node.prepare(NAMES[2], ballot(10**18))).status == wire.FAILED
            elif met_by == "accept":
                frame = await node.accept(NAMES[2], ballot(10**18), body_parts(9))
                assert frame.status == wire.FAILED
            elif met_by == "list":
                with pytest.raises(AssertionError):
                    await node.names()
            else:
                assert await Scrub(node.device).round() == 1
            assert not node.device.status().writable
            assert (await node.read(NAMES[3])).status == wire.OK
            await node.restart()
            assert node.device.recovered_records > 0
            assert await whole(node) == (set(BLOBS), set(NAMES))
            check_tallies(node.device)

    on_node(work)


def test_the_scrub_keeps_to_its_rate_and_goes_on_where_it_was() -> None:
    """Bytes a second, less beside clients; a restart does not begin again."""

    async def work(node: Node) -> None:
        for number in range(8):
            await node.put_blob(b"%016d" % number, bytes(MIB))
        loop = node.world.loop
        began = loop.now
        await Scrub(node.device, rate_bytes_s=2 * MIB).round()
        assert 3.5 < loop.now - began < 5
        calls = iter(range(0, 10**9, 1000))
        began = loop.now
        await Scrub(node.device, rate_bytes_s=2 * MIB, client_calls=lambda: next(calls)).round()
        assert loop.now - began > 12
        node.disk.write_file(POSITION, b'{"segment":1,"offset":%d}' % (places(node)[-2][1]))
        began = loop.now
        await Scrub(node.device, rate_bytes_s=2 * MIB).round()
        assert loop.now - began < 1.5

    on_node(work)
