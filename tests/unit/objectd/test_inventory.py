"""What a device says it holds: tallies of partitions, and the pages of one of them."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec

from core.checksum import block_sums
from objectd import rows, wire
from objectd.device import Device
from tests.model.device_state import check_tallies
from tests.unit.objectd.node import Node, ballot, body_parts
from tests.virtual import World, run

PARTITIONS = 4  # of the test node: part power 2


def on_node(work: Any) -> None:
    async def main(world: World) -> None:
        await work(await Node(world).start())

    run(main)


async def put(node: Node, blob: bytes, *, fragment: int = 0, policy: int = 0) -> None:
    data = blob * 10
    head = wire.PutBlob(blob, fragment, bytes(16), len(data), block_sums(data), policy)
    assert (await node.call(wire.PUT_BLOB, head, data)).status == wire.OK


async def tallies(node: Node, limit: int = 3) -> list[wire.PiecesRow]:
    """Every row, three to a page."""
    found: list[wire.PiecesRow] = []
    while True:
        call = wire.PartitionsCall(found[-1].key if found else b"", limit)
        page = wire.decode_pieces((await node.call(wire.PARTITIONS, call)).body)
        found += page
        if len(page) < limit:
            return found


async def range_tallies(node: Node) -> list[wire.RangesOfRow]:
    found: list[wire.RangesOfRow] = []
    while True:
        call = wire.PartitionsCall(found[-1].key if found else b"", 2)
        page = wire.decode_ranges_of((await node.call(wire.RANGE_PARTITIONS, call)).body)
        found += page
        if len(page) < 2:
            return found


def ids(count: int) -> list[bytes]:
    chance = random.Random(count)
    return [chance.randbytes(16) for _ in range(count)]


def test_tallies_of_pieces_count_what_is_held() -> None:
    """By policy, partition and fragment; the digest is one of blob ids, whichever fragment is held."""

    async def work(node: Node) -> None:
        for blob in ids(20):
            await put(node, blob, fragment=1, policy=1)
            await put(node, blob, fragment=2, policy=1)
        await put(node, bytes(16))
        rows_found = await tallies(node)
        assert [row.key for row in rows_found] == sorted(row.key for row in rows_found)
        assert {(row.policy, row.fragment) for row in rows_found} == {(1, 1), (1, 2), (0, 0)}
        by_place = {(row.policy, row.partition, row.fragment): row for row in rows_found}
        for partition in range(PARTITIONS):
            blobs = [blob for blob in ids(20) if node.device.partition_of(blob) == partition]
            for fragment in (1, 2):
                row = by_place[1, partition, fragment]
                assert (row.pieces, row.size_bytes) == (len(blobs), 160 * len(blobs))
                assert row.digest == rows.fold(bytes(16), *map(rows.piece_digest, blobs))
        check_tallies(node.device)

    on_node(work)


def test_writing_again_dropping_and_rebuilding_leave_tallies_true() -> None:
    """Also after a power loss, when the whole index is made again; what is empty has no row."""

    async def work(node: Node) -> None:
        blobs = ids(12)
        for blob in blobs:
            await put(node, blob)
            await put(node, blob)
        before = await tallies(node)
        assert sum(row.pieces for row in before) == 12
        await node.call(wire.DROP_BLOBS, wire.DropBlobs(blobs[:6]))
        half = await tallies(node)
        assert sum(row.pieces for row in half) == 6
        for power_loss in (False, True):
            await node.restart(power_loss=power_loss)
            assert await tallies(node) == half
            check_tallies(node.device)
        await node.call(wire.DROP_BLOBS, wire.DropBlobs(blobs))
        assert await tallies(node) == []

    on_node(work)


def test_tallies_of_ranges_change_with_every_record_and_fence() -> None:
    """A new ballot, a tombstone and a stage each give another digest; equal contents give equal rows."""

    async def work(node: Node) -> None:
        device = node.device
        for number in range(30):
            await accept(device, b"%016d" % number, b"n", number + 1)
        first = await range_tallies(node)
        assert sum(row.ranges for row in first) == sum(row.registers for row in first) == 30
        for change in (
            accept(device, b"%016d" % 3, b"n", 100),
            accept(device, b"%016d" % 3, b"m", 101, flags=0),
        ):
            await change
            now = await range_tallies(node)
            assert now != first
            first = now
        fence = await node.call(wire.FENCE, wire.Fence(b"%016d" % 3, 7, wire.ANY_CONFIG))
        assert fence.status == wire.OK
        assert await range_tallies(node) != first
        await node.call(wire.FENCE, wire.Fence(b"%016d" % 77, 7, wire.ANY_CONFIG))
        now = await range_tallies(node)
        assert sum(row.ranges for row in now) == 31
        assert sum(row.registers for row in now) == 31
        await node.restart(power_loss=True)
        assert await range_tallies(node) == now
        check_tallies(node.device)

    on_node(work)


async def accept(
    device: Device, range_id: bytes, name: bytes, clock: int, *, flags: int = wire.LIVE
) -> None:
    head, body = Node.accept_call(name, ballot(clock), body_parts(clock), flags=flags)
    call = msgspec.structs.replace(head, range_id=range_id)
    done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    device.write_register(call, body, done.set_result)
    assert await done is None


def test_blobs_and_ranges_of_one_partition_are_walked_in_pages() -> None:
    """Nothing of others, nothing twice, nothing left out; and all of them in the same order without."""

    async def work(node: Node) -> None:
        blobs = ids(40)
        for number, blob in enumerate(blobs):
            await put(node, blob, policy=number % 2)
            await accept(node.device, blob, b"n", 5)
        walked: list[bytes] = []
        for partition in range(PARTITIONS):
            mine = {blob for blob in blobs if node.device.partition_of(blob) == partition}
            for policy in (0, 1):
                found = await walk(node, partition, policy)
                wanted = [b for n, b in enumerate(blobs) if n % 2 == policy and b in mine]
                assert found == sorted(wanted)
            walked += await walk(node, partition, None)
            ranges = await walk_ranges(node, partition)
            assert ranges == sorted(mine)
        assert walked == await walk(node, None, None)
        assert len(walked) == 40
        assert await walk_ranges(node, None) == walked

    on_node(work)


async def walk(node: Node, partition: int | None, policy: int | None) -> list[bytes]:
    after, found = b"", []
    while True:
        call = wire.BlobsCall(after, 3, partition, policy)
        page = wire.decode_blobs((await node.call(wire.BLOBS, call)).body)
        assert all(row.size == 160 for row in page)
        found += [row.blob for row in page]
        if len(page) < 3:
            return found
        after = page[-1].blob + bytes((page[-1].fragment,))


async def walk_ranges(node: Node, partition: int | None) -> list[bytes]:
    after, found = b"", []
    while True:
        call = wire.RangesCall(after, 3, partition)
        page = wire.decode_ranges((await node.call(wire.RANGES, call)).body)
        found += [row.range_id for row in page]
        if len(page) < 3:
            return found
        after = page[-1].range_id
