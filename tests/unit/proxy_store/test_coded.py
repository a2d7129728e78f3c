"""Erasure-coded policies end to end: every shape, every m devices gone, short stripes, ranges, rebuild."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from core.errors import RingstackError, Unavailable
from core.limits import KIB, MIB
from objectd import wire
from proxy.repair.agent import Done, one_pass
from proxy.repair.pace import Pace
from proxy.store.layout import FRAGMENT_BYTES_MIN, WHOLE, layout_of, whole_bytes_max
from proxy.store.record import Extent
from ring.policy import Policy
from tests.local_cluster import LocalCluster

SHAPES = {
    "2+1": Policy(1, "two-one", "erasure", data=2, parity=1, codec="isa_l_rs_cauchy"),
    "4+2": Policy(2, "four-two", "erasure", data=4, parity=2, codec="isa_l_rs_cauchy"),
    "8+3": Policy(3, "eight-three", "erasure", data=8, parity=3, codec="isa_l_rs_cauchy"),
    "4+2z": Policy(4, "four-two-zfec", "erasure", data=4, parity=2, codec="zfec"),
}
POLICIES = (
    Policy(0, "replicated-3", "replicated", replicas=3, is_default=True),
    *SHAPES.values(),
)
OWNER = bytes(16)


def on_cluster(root: Path, count: int, work: Callable[[LocalCluster], Awaitable[None]]) -> None:
    async def main() -> None:
        policies = tuple(policy for policy in POLICIES if policy.width <= count)
        async with LocalCluster(root, count, policies) as cluster:
            await work(cluster)

    asyncio.run(main())


def data_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


async def write(cluster: LocalCluster, policy: Policy, size: int) -> Extent:
    extent = (await cluster.store.blobs.write(policy, OWNER, data_of(size))).extent
    await asyncio.sleep(0.05)  # the pieces beyond those that are needed
    return extent


async def drop(cluster: LocalCluster, extent: Extent, devices: list[int]) -> None:
    """Take the pieces of some devices away."""
    for number in devices:
        target = cluster.cluster.targets[number]
        call = wire.encode(wire.DropBlobs([extent.blob]))
        assert (await target.bulk.ask(wire.DROP_BLOBS, number, call)).status == wire.OK


def reads(cluster: LocalCluster) -> int:
    return sum(server.calls.get(wire.GET_BLOB, 0) for server in cluster.servers.values())


@pytest.mark.parametrize("shape", ["2+1", "4+2", "4+2z"])
def test_any_m_devices_may_be_gone(tmp_path: Path, shape: str) -> None:
    """Every choice of m homes, coded stripes and whole ones; one more is too many."""
    policy = SHAPES[shape]

    async def work(cluster: LocalCluster) -> None:
        for size in (whole_bytes_max(policy), 300_000):
            first = await write(cluster, policy, size)
            pieces = len(layout_of(policy, size).pieces)
            homes = [t.device for t in cluster.cluster.blob_targets(first.blob, policy)][:pieces]
            for gone in itertools.combinations(range(pieces), policy.parity):
                extent = await write(cluster, policy, size)
                homes = [t.device for t in cluster.cluster.blob_targets(extent.blob, policy)]
                await drop(cluster, extent, [homes[position] for position in gone])
                assert bytes(await cluster.store.blobs.read(extent, 0, size)) == data_of(size)
            left = [home for home in homes[:pieces] if home not in [homes[p] for p in gone]]
            await drop(cluster, extent, left[:1])
            with pytest.raises(Unavailable):
                await cluster.store.blobs.read(extent, 0, size)

    on_cluster(tmp_path, policy.width + 1, work)


def test_eight_and_three_with_three_devices_stopped(tmp_path: Path) -> None:
    """Reads go on; writes need k+1 fragments, and stand-ins make up for what is missing."""
    policy = SHAPES["8+3"]

    async def work(cluster: LocalCluster) -> None:
        sizes = (20_000, 3 * MIB)
        before = [await write(cluster, policy, size) for size in sizes]
        for number in (1, 5, 9):
            await cluster.stop(number)
        after = [await write(cluster, policy, size) for size in sizes]
        for extent, size in zip(before + after, sizes * 2, strict=True):
            assert bytes(await cluster.store.blobs.read(extent, 0, size)) == data_of(size)

    on_cluster(tmp_path, 12, work)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_fragment_is_shorter_than_worth_its_record(tmp_path: Path, shape: str) -> None:
    """Up to k times 8 KiB a stripe is kept as m+1 whole copies: it bears the same losses, one read gets it."""
    policy = SHAPES[shape]

    async def work(cluster: LocalCluster) -> None:
        limit = policy.data * FRAGMENT_BYTES_MIN
        for size in (1, 9 * KIB, limit, limit + 1):
            extent = await write(cluster, policy, size)
            held = [
                number
                for number, server in cluster.servers.items()
                if server.devices[number].blob(extent.blob, WHOLE) is not None
            ]
            whole = size <= limit
            assert len(held) == (policy.parity + 1 if whole else 0)
            before = reads(cluster)
            assert bytes(await cluster.store.blobs.read(extent, 0, size)) == data_of(size)
            assert reads(cluster) - before == (1 if whole else policy.data)

    on_cluster(tmp_path, policy.width, work)


@pytest.mark.parametrize("shape", ["4+2", "4+2z"])
def test_a_range_reads_the_fragments_that_cover_it(tmp_path: Path, shape: str) -> None:
    """No more while all are there; the same bytes when one of them is not."""
    policy = SHAPES[shape]
    size = 4 * MIB

    async def work(cluster: LocalCluster) -> None:
        extent = await write(cluster, policy, size)
        whole = data_of(size)
        share = -(-size // policy.data)
        ranges = [(0, 1, 1), (share - 1, 1, 1), (share - 1, 2, 2), (5, share, 2)]
        ranges += [(size - 1, 1, 1), (share, 2 * share, 2), (10, 3 * share, 4), (0, size, 4)]
        for start, length, fragments in ranges:
            before = reads(cluster)
            found = await cluster.store.blobs.read(extent, start, length)
            assert bytes(found) == whole[start : start + length], (start, length)
            assert reads(cluster) - before in {fragments, policy.data}
        before = reads(cluster)
        await cluster.store.blobs.read(extent, 100, 1000)
        assert reads(cluster) - before == 1
        home = cluster.cluster.blob_targets(extent.blob, policy)[0].device
        await drop(cluster, extent, [home])
        for start, length, _ in ranges:
            found = await cluster.store.blobs.read(extent, start, length)
            assert bytes(found) == whole[start : start + length]

    on_cluster(tmp_path, policy.width, work)


@pytest.mark.parametrize("shape", ["2+1", "4+2"])
def test_lost_devices_are_filled_again(tmp_path: Path, shape: str) -> None:
    """m wiped disks: every fragment and every whole copy comes back, byte for byte."""
    policy = SHAPES[shape]

    async def work(cluster: LocalCluster) -> None:
        sizes = (5_000, 12_000, 100_000, 1_000_000)
        extents = [await write(cluster, policy, size) for size in sizes * 2]
        before = {n: pieces_of(cluster, n) for n in range(policy.parity)}
        for number in range(policy.parity):
            await cluster.stop(number)
            shutil.rmtree(cluster.root / f"d{number}")
            await cluster.start(number)
        await until_repaired(cluster)
        for number in range(policy.parity):
            assert pieces_of(cluster, number) == before[number]
        for gone in range(policy.parity, 2 * policy.parity):
            await cluster.stop(gone)
        for extent, size in zip(extents, sizes * 2, strict=True):
            assert bytes(await cluster.store.blobs.read(extent, 0, size)) == data_of(size)

    on_cluster(tmp_path, policy.width, work)


def pieces_of(cluster: LocalCluster, number: int) -> dict[bytes, bytes]:
    """Bodies of all pieces of a device, by their key."""
    device = cluster.servers[number].devices[number]
    found = {}
    for key, _ in device.index.scan(b"B", b"C"):
        row = device.blob(key[5:21], key[21])
        assert row is not None
        record = device.log.read_record(row.place)
        found[key[5:]] = record[len(record) - row.body_bytes :]
    return found


async def until_repaired(cluster: LocalCluster) -> None:
    await asyncio.sleep(0.2)
    for _ in range(10):
        assert await cluster.cluster.wait_up(5)
        done = await one_pass(cluster.cluster, cluster.store, Pace(1e12))
        if done == Done(0, 0, 0, complete=True):
            return
    raise AssertionError(f"not repaired: {done}")


def test_a_write_without_enough_devices_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """4+2 with three of six devices gone: k+1 fragments cannot be durable."""
    policy = SHAPES["4+2"]

    async def work(cluster: LocalCluster) -> None:
        for number in (0, 2, 4):
            await cluster.stop(number)
        with pytest.raises(RingstackError):
            await cluster.store.blobs.write(policy, OWNER, data_of(300_000))
        await asyncio.sleep(0.1)
        assert all(not pieces_of(cluster, number) for number in (1, 3, 5))

    on_cluster(tmp_path, 6, work)


def test_late_fragments_do_not_disturb_the_search_for_others(tmp_path: Path) -> None:
    """Slow homes, lost fragments and stand-ins at once: whatever comes first is enough."""
    policy = SHAPES["4+2"]

    async def work(cluster: LocalCluster) -> None:
        extent = await write(cluster, policy, 400_000)
        homes = cluster.cluster.blob_targets(extent.blob, policy)
        others = [one for one in cluster.cluster.targets if one not in homes]
        for piece, other in zip((0, 1), others, strict=True):
            await cluster.store.blobs.copy_piece(extent, piece, [homes[piece]], other)
        await drop(cluster, extent, [home.device for home in homes[:3]])
        slow = cluster.servers[homes[3].device]
        handle = slow.frames.handler
        loop = asyncio.get_running_loop()
        slow.frames.handler = lambda connection, call: (
            loop.call_later(0.4, handle, connection, call) and None
        )
        for _ in range(3):
            found = await cluster.store.blobs.read(extent, 0, 400_000)
            assert bytes(found) == data_of(400_000)

    on_cluster(tmp_path, 8, work)
