"""Repair on real disks: what a device missed or lost comes back, and hand-offs go home."""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from objectd import wire
from proxy.repair.agent import Done, heal, one_pass
from proxy.repair.pace import Pace
from proxy.store.cluster import Target
from proxy.store.layout import layout_of
from proxy.store.record import BodyDigest, Draft, ObjectName
from tests.local_cluster import LocalCluster

ACCOUNT = "AUTH_repair"
CONTAINERS = {"plain": "replicated-3", "coded": "erasure-2-1", "zfec": "zfec-2-1"}
SIZES = (10, 5000, 20_000, 300_000, 5_000_000)
PACE = 1e12


def body_of(container: str, size: int) -> bytes:
    return random.Random(f"{container}/{size}").randbytes(size)


async def pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100_000):
        yield body[start : start + 100_000]


def draft(digest: BodyDigest) -> Draft:
    del digest
    return Draft("application/octet-stream", {})


async def store_all(cluster: LocalCluster) -> None:
    for container in CONTAINERS:
        for size in SIZES:
            where = ObjectName(ACCOUNT, container, f"o{size}")
            await cluster.store.put_object(where, pieces(body_of(container, size)), draft)


async def make_containers(cluster: LocalCluster) -> None:
    for container, policy in CONTAINERS.items():
        await cluster.store.create_container(ACCOUNT, container, policy=policy, change={})


async def read_all(cluster: LocalCluster) -> None:
    for container in CONTAINERS:
        for size in SIZES:
            found = await cluster.store.get_object(ObjectName(ACCOUNT, container, f"o{size}"))
            parts = [bytes(piece) async for piece in cluster.store.read(found)]
            assert hashlib.md5(b"".join(parts)).hexdigest() == found.record.etag


async def repair(cluster: LocalCluster) -> Done:
    """Passes until one is complete (links may still be finding out about a restart), summed up."""
    registers = blobs = handoffs = 0
    for _ in range(5):
        assert await cluster.cluster.wait_up(5)
        done = await one_pass(cluster.cluster, cluster.store, Pace(PACE))
        registers, blobs = registers + done.registers, blobs + done.blobs
        handoffs += done.handoffs
        if done.complete:
            return Done(registers, blobs, handoffs, complete=True)
    raise AssertionError("no pass was complete")


def replicas_agree(cluster: LocalCluster) -> None:
    devices = {number: server.devices[number] for number, server in cluster.servers.items()}
    for range_id in {one for device in devices.values() for one in device.ranges()}:
        replicas = cluster.epoch.primaries(cluster.epoch.partition(range_id), 3)
        assert len({devices[one.id].stats(range_id).digest for one in replicas}) == 1


def run(root: Path, scenario: Callable[[LocalCluster], Awaitable[None]]) -> None:
    async def body() -> None:
        async with LocalCluster(root) as cluster:
            await make_containers(cluster)
            await scenario(cluster)

    asyncio.run(body())


@pytest.mark.parametrize("number", range(4))
def test_a_device_that_was_away_gets_what_it_missed(tmp_path: Path, number: int) -> None:
    """Registers and pieces written meanwhile are copied; stand-ins give theirs up; then all is quiet."""

    async def scenario(cluster: LocalCluster) -> None:
        await cluster.stop(number)
        await store_all(cluster)
        await cluster.start(number)
        first = await repair(cluster)
        assert first.complete
        assert first.registers + first.blobs > 0
        assert await repair(cluster) == Done(0, 0, 0, complete=True)
        replicas_agree(cluster)
        for other in range(4):
            if other != number:
                await cluster.stop(other)
                await read_all(cluster)
                await cluster.start(other)
                assert await cluster.cluster.wait_up(5)

    run(tmp_path, scenario)


def test_a_wiped_device_is_filled_again(tmp_path: Path) -> None:
    """An empty disk in place of a full one: every register, replica and fragment of it comes back."""

    async def scenario(cluster: LocalCluster) -> None:
        await store_all(cluster)
        before = cluster.servers[2].devices[2].status()
        await cluster.stop(2)
        shutil.rmtree(cluster.root / "d2")
        await cluster.start(2)
        done = await repair(cluster)
        assert done.complete
        after = cluster.servers[2].devices[2].status()
        assert after.blob_count >= before.blob_count  # its last acceptances may have come later
        assert after.register_count >= before.register_count
        replicas_agree(cluster)
        assert await repair(cluster) == Done(0, 0, 0, complete=True)
        await cluster.stop(0)
        await read_all(cluster)

    run(tmp_path, scenario)


def test_a_deletion_that_a_device_missed_stays_a_deletion(tmp_path: Path) -> None:
    """Repair spreads the tombstone, never the deleted record."""

    async def scenario(cluster: LocalCluster) -> None:
        await store_all(cluster)
        await cluster.stop(1)
        for container in CONTAINERS:
            await cluster.store.delete_object(ObjectName(ACCOUNT, container, "o10"))
        await cluster.start(1)
        await repair(cluster)
        replicas_agree(cluster)
        for container in CONTAINERS:
            info = await cluster.store.get_container(ACCOUNT, container)
            assert info.object_count == len(SIZES) - 1

    run(tmp_path, scenario)


def test_a_peer_that_is_away_leaves_the_pass_incomplete(tmp_path: Path) -> None:
    """What cannot be compared is said, and nothing is dropped because of it."""

    async def scenario(cluster: LocalCluster) -> None:
        await store_all(cluster)
        await cluster.stop(3)
        done = await one_pass(cluster.cluster, cluster.store, Pace(PACE))
        assert not done.complete
        await cluster.start(3)
        assert await cluster.cluster.wait_up(5)
        await read_all(cluster)

    run(tmp_path, scenario)


def test_a_moved_fragment_is_copied_and_lost_ones_are_made_from_the_same_reads(
    tmp_path: Path,
) -> None:
    """Counted in calls: a copy reads one piece; a stripe that lost two fragments is read k pieces once."""

    async def scenario(cluster: LocalCluster) -> None:
        body = body_of("coded", 3_000_000)
        where = ObjectName(ACCOUNT, "coded", "o")
        found = await cluster.store.put_object(where, pieces(body), draft)
        await asyncio.sleep(0.1)
        [extent] = found.record.manifest
        policy = cluster.cluster.policies[extent.policy]
        homes = cluster.cluster.blob_targets(extent.blob, policy)
        stray = next(one for one in cluster.cluster.targets if one not in homes)
        # fragment 0 stands at another device, as after a change of the ring
        await cluster.store.blobs.copy_piece(extent, 0, [homes[0]], stray)
        await drop(homes[0], extent.blob, 0)
        before = reads(cluster)
        done = await repair(cluster)
        assert (done.blobs, done.handoffs) == (1, 1)
        assert reads(cluster) - before == 1
        # with two data fragments and one parity, one of them may be lost
        await drop(homes[1], extent.blob, 1)
        before = reads(cluster)
        done = await repair(cluster)
        assert (done.blobs, done.handoffs) == (1, 0)
        assert reads(cluster) - before == policy.data
        assert await repair(cluster) == Done(0, 0, 0, complete=True)

    run(tmp_path, scenario)


def reads(cluster: LocalCluster) -> int:
    return sum(server.calls.get(wire.GET_BLOB, 0) for server in cluster.servers.values())


async def drop(target: Target, blob: bytes, fragment: int) -> None:
    head = wire.encode(wire.DropPieces([(blob, fragment)]))
    assert (await target.bulk.ask(wire.DROP_PIECES, target.device, head)).status == wire.OK


@pytest.mark.parametrize("container", CONTAINERS)
def test_what_a_reader_finds_bad_is_replaced_at_once(tmp_path: Path, container: str) -> None:
    """No pass is needed: the device tells what it has lost, and the agent heals that alone."""

    async def scenario(cluster: LocalCluster) -> None:
        body = body_of(container, 300_000)
        where = ObjectName(ACCOUNT, container, "o")
        found = await cluster.store.put_object(where, pieces(body), draft)
        await asyncio.sleep(0.1)
        [extent] = found.record.manifest
        policy = cluster.cluster.policies[extent.policy]
        layout = layout_of(policy, extent.blob_size)
        first = next(cluster.store.blobs._candidates(policy, extent.blob, layout)).device
        if policy.kind == "erasure":
            first = cluster.cluster.blob_targets(extent.blob, policy)[0].device
        for path in (cluster.root / f"d{first}" / "log").iterdir():
            spoil(path, extent.blob)
        parts = [bytes(piece) async for piece in cluster.store.read(found)]
        assert b"".join(parts) == body
        device = cluster.servers[first].devices[first]
        assert device.status().damaged == 1
        assert await heal(cluster.cluster, cluster.store, Pace(PACE)) == (1, 0)
        assert device.status().damaged == 0
        assert await repair(cluster) == Done(0, 0, 0, complete=True)

    run(tmp_path, scenario)


def spoil(path: Path, blob: bytes) -> None:
    """Flip bits in the body behind a blob's id."""
    data = bytearray(path.read_bytes())
    at = data.find(blob)
    if at >= 0:
        data[at + 3000] ^= 0xFF
        path.write_bytes(bytes(data))


def test_a_register_that_rots_is_learned_again(tmp_path: Path) -> None:
    """A read that meets it answers from the others; its replica has it again at once, from a majority."""

    async def scenario(cluster: LocalCluster) -> None:
        body = body_of("plain", 5000)
        where = ObjectName(ACCOUNT, "plain", "o")
        await cluster.store.put_object(where, pieces(body), draft)
        await asyncio.sleep(0.1)
        path = next(
            one
            for one in sorted(cluster.root.glob("d*/log/*.seg"))
            if body[:100] in one.read_bytes()
        )
        data = bytearray(path.read_bytes())
        data[data.find(body[:100]) + 2000] ^= 0x01
        path.write_bytes(bytes(data))
        number = int(path.parent.parent.name[1:])
        device = cluster.servers[number].devices[number]
        for _ in range(20):  # replicas take turns
            found = await cluster.store.get_object(where)
            parts = [bytes(piece) async for piece in cluster.store.read(found)]
            assert b"".join(parts) == body
            if device.status().damaged:
                break
        assert device.status().damaged == 1
        assert await heal(cluster.cluster, cluster.store, Pace(PACE)) == (1, 0)
        assert device.status().damaged == 0
        assert await repair(cluster) == Done(0, 0, 0, complete=True)
        replicas_agree(cluster)

    run(tmp_path, scenario)
