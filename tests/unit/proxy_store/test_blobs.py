"""Blobs when devices are stopped, paused, full or rotten: added latency at most, never a wrong byte."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from core.errors import Corrupt, Full, Unavailable
from core.limits import MIB, STRIPE_BYTES
from objectd import wire
from objectd.device import FULL_RESERVE_BYTES
from proxy.store.hunt import HEDGE_S
from proxy.store.record import Draft, ObjectName
from proxy.store.slowness import FULL_FOR_S
from tests.local_cluster import LocalCluster
from tests.unit.proxy_store.cloud import Cloud, on_cloud, pieces, where

DATA = random.Random(5).randbytes(STRIPE_BYTES + 300_000)
CONTAINERS = ("photos", "coded")


def extents(found) -> list[bytes]:
    return [extent.blob for extent in found.record.manifest]


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_stopped_node_changes_nothing_for_clients(container: str) -> None:
    """Pieces go to hand-offs; every body reads back, whichever node is down."""

    async def work(cloud: Cloud) -> None:
        await cloud.put("before", DATA, container)
        for number in range(4):
            cloud.kill(number)
            assert await cloud.get("before", container) == DATA
            found = await cloud.put(f"during {number}", DATA, container)
            assert await cloud.get(f"during {number}", container) == DATA
            await asyncio.sleep(2)
            assert all(len(cloud.copies(blob)) == 3 for blob in extents(found))
            cloud.cluster.nodes[number].start()
            await asyncio.sleep(2)

    on_cloud(work)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_paused_node_costs_one_hedge_and_then_nothing(container: str) -> None:
    """It keeps its connections, so only its silence tells; after the first wait it is asked last."""

    async def work(cloud: Cloud) -> None:
        await cloud.put("o", DATA, container)
        _, normal_s = await cloud.timed(cloud.get("o", container))
        for number in range(4):
            cloud.pause(number)
            body, first_s = await cloud.timed(cloud.get("o", container))
            assert body == DATA
            assert first_s < normal_s + 4 * HEDGE_S
            body, again_s = await cloud.timed(cloud.get("o", container))
            assert body == DATA
            assert again_s < normal_s + 0.2
            cloud.resume()
            await asyncio.sleep(10)

    on_cloud(work)


def test_a_paused_node_costs_registers_little() -> None:
    """Reads and writes of small objects: one hedge now and then, not one for two calls of three."""

    async def work(cloud: Cloud) -> None:
        await cloud.put("o", b"small")
        for number in range(4):
            cloud.pause(number)
            await cloud.get("o")
            began = cloud.loop.now
            for count in range(20):
                await cloud.put(f"o{count}", b"small")
                assert await cloud.get(f"o{count}") == b"small"
            assert cloud.loop.now - began < 1.0
            cloud.resume()
            await asyncio.sleep(5)

    on_cloud(work)


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_paused_node_does_not_fill_our_memory(container: str) -> None:
    """What it does not take goes to a hand-off, and is not kept for it."""

    async def work(cloud: Cloud) -> None:
        cloud.pause(3)
        for number in range(16):
            found = await cloud.put(f"o{number}", bytes(2 * STRIPE_BYTES), container)
        waiting = [t for t in cloud.cluster.net._transports if t._peer_node == "o3"]
        assert sum(one.get_write_buffer_size() for one in waiting) < 40 * MIB
        await asyncio.sleep(3)
        performing = [
            task
            for tasks in cloud.loop.tasks_of.values()
            for task in tasks
            if "_perform" in repr(task)
        ]
        assert len(performing) < 12
        assert all(len(cloud.copies(blob)) >= 3 for blob in extents(found))

    on_cloud(work)


def test_a_full_device_hands_over_and_full_devices_say_so() -> None:
    """One full device is a hand-off; when too few have room the answer is Full, and reads go on."""

    async def work(cloud: Cloud) -> None:
        await cloud.put("before", DATA)
        cloud.fill(0, leave_bytes=FULL_RESERVE_BYTES)
        found = await cloud.put("one full", DATA)
        assert all(0 not in cloud.copies(blob) for blob in extents(found))
        assert all(len(cloud.copies(blob)) >= 2 for blob in extents(found))
        for number in (1, 2, 3):
            cloud.fill(number, leave_bytes=FULL_RESERVE_BYTES)
        for container in CONTAINERS:
            with pytest.raises(Full):
                await cloud.put("all full", DATA, container)
        with pytest.raises(Full):
            await cloud.put("inline", bytes(5000))
        assert await cloud.get("before") == DATA
        assert await cloud.get("one full") == DATA
        await cloud.store.delete_object(where("before"))
        for node in cloud.cluster.nodes:
            node.platter.capacity_bytes = 1 << 30
        await cloud.put("room again", DATA)
        assert await cloud.get("room again") == DATA

    on_cloud(work)


def test_a_full_device_is_not_sent_what_it_would_refuse() -> None:
    """It is asked again now and then, and taken back when it has room."""

    async def work(cloud: Cloud) -> None:
        cloud.fill(0, leave_bytes=FULL_RESERVE_BYTES)
        server = cloud.cluster.nodes[0].server
        assert server is not None

        def asked() -> int:
            return server.calls.get(wire.PUT_BLOB, 0)

        for number in range(20):
            await cloud.put(f"o{number}", bytes(STRIPE_BYTES))
        assert 1 <= asked() <= 3
        cloud.cluster.nodes[0].platter.capacity_bytes = 1 << 30
        await asyncio.sleep(FULL_FOR_S + 1)
        before = asked()
        for number in range(8):
            await cloud.put(f"p{number}", bytes(STRIPE_BYTES))
        assert asked() >= before + 4

    on_cloud(work)


def test_a_refused_body_leaves_nothing_behind() -> None:
    """What was stored of it before the refusal is dropped."""

    async def work(cloud: Cloud) -> None:
        def refuse(_):
            raise Corrupt("BadDigest", "not what was announced")

        with pytest.raises(Corrupt):
            await cloud.store.put_object(where("o"), pieces(DATA), refuse)
        for number in (1, 2, 3):
            cloud.fill(number, leave_bytes=FULL_RESERVE_BYTES)
        with pytest.raises(Full):
            await cloud.put("o", DATA)
        await asyncio.sleep(5)
        held = sum(node.device().blob_count for node in cloud.cluster.nodes)
        assert held == 0

    on_cloud(work)


@pytest.mark.parametrize(("container", "bearable"), [("photos", 2), ("coded", 1)])
def test_rotten_copies_are_never_delivered(container: str, bearable: int) -> None:
    """While enough good pieces remain the bytes are right; after that the read fails, and says so."""

    async def work(cloud: Cloud) -> None:
        body = b"".join(random.Random(n).randbytes(1000) for n in range(100))
        found = await cloud.put("o", body, container)
        [blob] = extents(found)
        holders = cloud.copies(blob)
        assert len(holders) == 3
        for count, number in enumerate(holders, start=1):
            for n in range(0, 100, 7):
                cloud.spoil(number, random.Random(n).randbytes(1000))
                cloud.spoil(number, random.Random(n).randbytes(1000)[:16])
            for data in cloud.cluster.nodes[number].platter.files.values():
                at = data.find(blob)
                data[at + 2000] ^= 0xFF
            if count <= bearable:
                assert await cloud.get("o", container) == body
            else:
                with pytest.raises(Corrupt):
                    await cloud.get("o", container)

    on_cloud(work)


@pytest.mark.parametrize("container", CONTAINERS)
def test_too_few_nodes_are_reported_quickly(container: str) -> None:
    """503, not silence; and everything is there again when they are."""

    async def work(cloud: Cloud) -> None:
        await cloud.put("o", DATA, container)
        for number in (0, 1, 2):
            cloud.kill(number)
        _, took_s = await cloud.timed(
            asyncio.gather(cloud.get("o", container), return_exceptions=True)
        )
        assert took_s < 5
        with pytest.raises(Unavailable):
            await cloud.put("p", DATA, container)
        for number in (0, 1, 2):
            cloud.cluster.nodes[number].start()
        await asyncio.sleep(3)
        assert await cloud.get("o", container) == DATA

    on_cloud(work)


def test_bytes_flipped_on_real_disks_never_reach_a_client(tmp_path: Path) -> None:
    """One device's segment files are damaged at random places, again and again, also across restarts."""
    chance = random.Random(11)
    sizes = (0, 100, 8192, 9000, 70_000, 1_000_000, STRIPE_BYTES + 5)
    bodies = {f"o{size}": random.Random(size).randbytes(size) for size in sizes}

    async def read_all(local: LocalCluster) -> None:
        for policy in ("replicated-3", "erasure-2-1", "zfec-2-1"):
            for name, body in bodies.items():
                found = await local.store.get_object(ObjectName("A", policy, name))
                got = b"".join([bytes(piece) async for piece in local.store.read(found)])
                assert got == body, (policy, name)

    async def work() -> None:
        async with LocalCluster(tmp_path) as local:
            for policy in ("replicated-3", "erasure-2-1", "zfec-2-1"):
                await local.store.create_container("A", policy, policy=policy, change={})
                for name, body in bodies.items():
                    target = ObjectName("A", policy, name)
                    await local.store.put_object(target, pieces(body), lambda _: Draft("", {}))
            for _ in range(5):
                for path in (tmp_path / "d2" / "log").glob("*.seg"):
                    with path.open("r+b") as file:
                        for _ in range(40):
                            at = chance.randrange(path.stat().st_size)
                            file.seek(at)
                            byte = file.read(1)[0]
                            file.seek(at)
                            file.write(bytes((byte ^ 1 << chance.randrange(8),)))
                await read_all(local)
            await local.stop(2)
            await local.start(2)
            await read_all(local)

    asyncio.run(work())
