"""The orphan sweep on a cluster: what nothing names goes, two passes later; what anything names stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import UnknownOutcome
from proxy.repair.pace import Pace
from proxy.store.record import Draft, ObjectName
from proxy.sweep.orphans import Orphans, Swept
from tests.local_cluster import LocalCluster
from tests.unit.proxy_repair.test_repair import draft, make_containers, pieces, repair

ACCOUNT = "AUTH_repair"
BODY = bytes(range(256)) * 80
CONTAINERS = ("plain", "coded")


def blobs(cluster: LocalCluster) -> set[bytes]:
    found = set()
    for number, server in cluster.servers.items():
        index = server.devices[number].index
        found |= {key[5:21] for key, _ in index.scan(b"B", b"C")}
    return found


async def sweep(cluster: LocalCluster, slice_blobs: int = 1000) -> Swept:
    return await Orphans(cluster.cluster, Pace(1e12), slice_blobs=slice_blobs).one_pass()


async def put(cluster: LocalCluster, container: str, name: str) -> None:
    where = ObjectName(ACCOUNT, container, name)
    await cluster.store.put_object(where, pieces(BODY + name.encode()), draft)


async def read(cluster: LocalCluster, container: str, name: str) -> bytes:
    found = await cluster.store.get_object(ObjectName(ACCOUNT, container, name))
    return b"".join([bytes(piece) async for piece in cluster.store.read(found)])


async def orphan(cluster: LocalCluster, count: int) -> None:
    """Blobs of uploads whose proxy died before their records."""
    for policy in cluster.epoch.policies[:2]:
        for _ in range(count):
            await cluster.store.blobs.write(policy, b"o" * 16, BODY)


def run(root: Path, scenario) -> None:
    async def body() -> None:
        async with LocalCluster(root) as cluster:
            await make_containers(cluster)
            await scenario(cluster)

    asyncio.run(body())


@pytest.mark.parametrize("slice_blobs", [1, 9, 1000])
def test_orphans_go_two_passes_later_and_nothing_else_does(
    tmp_path: Path, slice_blobs: int
) -> None:
    """Objects, copies of deleted ones and parts stay readable; in slices of any size."""

    async def scenario(cluster: LocalCluster) -> None:
        for container in CONTAINERS:
            for number in range(5):
                await put(cluster, container, f"o{number}")
            source = await cluster.store.get_object(ObjectName(ACCOUNT, container, "o0"))
            copy = ObjectName(ACCOUNT, container, "copy")
            await cluster.store.copy_object(source, copy, Draft("text/plain", {}))
            await cluster.store.delete_object(source.where)
        named = blobs(cluster)
        await orphan(cluster, 6)
        assert len(blobs(cluster)) == len(named) + 12
        first, second = await sweep(cluster, slice_blobs), await sweep(cluster, slice_blobs)
        assert (first.problem, first.dropped, second.problem, second.dropped) == ("", 0, "", 12)
        assert blobs(cluster) == named
        for _ in range(2):
            assert (await sweep(cluster, slice_blobs)).dropped == 0
        for container in CONTAINERS:
            assert await read(cluster, container, "copy") == BODY + b"o0"
            assert await read(cluster, container, "o4") == BODY + b"o4"

    run(tmp_path, scenario)


def test_blobs_that_copies_shared_go_with_the_last_of_them(tmp_path: Path) -> None:
    """Deleting a shared record leaves its blobs to the sweep."""

    async def scenario(cluster: LocalCluster) -> None:
        await put(cluster, "plain", "o")
        source = await cluster.store.get_object(ObjectName(ACCOUNT, "plain", "o"))
        copy = ObjectName(ACCOUNT, "plain", "copy")
        await cluster.store.copy_object(source, copy, Draft("text/plain", {}))
        await cluster.store.delete_object(source.where)
        await cluster.store.delete_object(copy)
        assert len(blobs(cluster)) == 1
        for _ in range(2):
            assert (await sweep(cluster)).problem == ""
        assert blobs(cluster) == set()

    run(tmp_path, scenario)


def test_a_device_that_is_away_puts_the_sweep_off(tmp_path: Path) -> None:
    """It goes on where it was once the device is back."""

    async def scenario(cluster: LocalCluster) -> None:
        await put(cluster, "plain", "o")
        await orphan(cluster, 3)
        named = blobs(cluster)
        assert (await sweep(cluster)).generation == 1
        await cluster.stop(2)
        assert (await sweep(cluster)).problem
        await cluster.start(2)
        assert await cluster.cluster.wait_up(5)
        assert blobs(cluster) == named
        done = await sweep(cluster)
        assert (done.generation, done.dropped) == (2, 6)
        assert await read(cluster, "plain", "o") == BODY + b"o"

    run(tmp_path, scenario)


def test_an_upload_that_outlives_two_passes_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    """Its blobs may be gone; one pass does it no harm."""

    async def scenario(cluster: LocalCluster) -> None:
        async def slow(passes: int) -> AsyncIterator[bytes]:
            yield bytes(4 << 20)
            await asyncio.sleep(0.3)
            for _ in range(passes):
                assert (await sweep(cluster)).problem == ""
            yield b"end"

        await sweep(cluster)
        where = ObjectName(ACCOUNT, "plain", "slow")
        await cluster.store.put_object(where, slow(1), draft)
        assert len(await read(cluster, "plain", "slow")) == (4 << 20) + 3
        with pytest.raises(UnknownOutcome):
            await cluster.store.put_object(where, slow(2), draft)
        assert len(await read(cluster, "plain", "slow")) == (4 << 20) + 3
        for _ in range(3):
            await sweep(cluster)
        assert len(blobs(cluster)) == 2

    run(tmp_path, scenario)


def test_a_repaired_piece_is_as_young_as_its_source(tmp_path: Path) -> None:
    """A device that missed the last passes' beginning gets it with what it is told."""

    async def scenario(cluster: LocalCluster) -> None:
        await cluster.stop(1)
        await orphan(cluster, 8)
        await cluster.start(1)
        assert await cluster.cluster.wait_up(5)
        for _ in range(3):
            await sweep(cluster)
        assert blobs(cluster) == set()
        await cluster.stop(1)
        await put(cluster, "plain", "o")
        await put(cluster, "coded", "o")
        await cluster.start(1)
        await repair(cluster)
        for server in cluster.servers.values():
            for device in server.devices.values():
                for blob in blobs(cluster):
                    assert all(row.stamp == 3 for _, row in device.pieces(blob))

    run(tmp_path, scenario)
