"""What volumes leave in the store: nothing that is not needed, and fsck and the sweep agree."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from cli.fsck.checker import Checker
from core.real import RealEnv
from proxy.repair.pace import Pace
from proxy.store.record import ListQuery
from proxy.sweep.orphans import Orphans
from tests.contract.test_volumes import SMALL
from tests.local_cluster import POLICIES, LocalCluster
from tests.model.memory_store import MemoryStore
from tests.unit.proxy_repair.test_repair import repair
from volume.keys import MemoryKeys
from volume.library import StoreVolumes, volumes_on
from volume.objects import ACCOUNT
from volume.port import BLOCK_BYTES

B = BLOCK_BYTES


async def objects(store, volume_id: str = "v") -> list[str]:
    page = await store.list_objects(ACCOUNT, volume_id, ListQuery())
    return [row.name for row in page.rows]


async def containers(store) -> list[str]:
    return [row.name for row in (await store.list_containers(ACCOUNT, ListQuery())).rows]


def on_memory(work) -> None:
    env = RealEnv()
    store = MemoryStore(env.wall_us, POLICIES)
    asyncio.run(work(store, volumes_on(env, store, MemoryKeys(env), SMALL)))


async def churn(volumes: StoreVolumes, turns: int, name: str = "v") -> bytearray:
    """Overwrite at random; returns what it holds."""
    disk = await volumes.attach(name, "test")
    model = bytearray(await disk.read(0, disk.size))
    chance = random.Random(turns)
    for _ in range(turns):
        block, length = chance.randrange(100), chance.randrange(1, 20)
        data = chance.randbytes(length * B)
        await disk.write(block * B, data)
        model[block * B : block * B + len(data)] = data
        await asyncio.sleep(0)
    await disk.close()
    return model


def test_the_log_stays_in_proportion_to_what_lives() -> None:
    """After much overwriting, only so much is left as the fill ratio allows."""

    async def work(store, volumes: StoreVolumes) -> None:
        await volumes.create("v", 128 * B)
        model = await churn(volumes, 400)
        await volumes.collect("v")
        info = await volumes.describe("v")
        live = sum(any(model[at : at + B]) for at in range(0, len(model), B))
        assert info.stored_bytes <= live * B / SMALL.full_ratio + 32 * B
        assert sum(name.startswith("log/") for name in await objects(store)) < 60
        assert sum(name.startswith("map/") for name in await objects(store)) < 30
        disk = await volumes.attach("v", "test")
        assert await disk.read(0, 128 * B) == model
        await disk.close()

    on_memory(work)


def test_a_snapshot_keeps_its_data_and_gives_it_back() -> None:
    """While it is there, overwriting everything doubles what is stored; then it goes down again."""

    async def work(store, volumes: StoreVolumes) -> None:
        await volumes.create("v", 128 * B)
        await churn(volumes, 100)
        await volumes.collect("v")
        alone = (await volumes.describe("v")).stored_bytes
        await volumes.snapshot("v", "s")
        disk = await volumes.attach("v", "test")
        await disk.write(0, b"x" * 128 * B)
        await disk.close()
        await volumes.collect("v")
        assert (await volumes.describe("v")).stored_bytes > alone * 1.6
        await volumes.drop_snapshot("v", "s")
        await volumes.collect("v")
        await volumes.collect("v")
        assert (await volumes.describe("v")).stored_bytes < 128 * B / SMALL.full_ratio + 32 * B

    on_memory(work)


def test_deleted_volumes_leave_nothing() -> None:
    """Parents go when their last clone has, grandparents after them, and nothing before."""

    async def work(store, volumes: StoreVolumes) -> None:
        await volumes.create("v", 128 * B)
        await churn(volumes, 50)
        await volumes.snapshot("v", "s")
        await volumes.clone("c1", "v", "s")
        await churn(volumes, 20, "c1")
        await volumes.snapshot("c1", "s")
        await volumes.clone("c2", "c1", "s")
        await volumes.drop_snapshot("v", "s")
        await volumes.delete("v")
        await volumes.drop_snapshot("c1", "s")
        await volumes.delete("c1")
        assert sorted(await containers(store)) == ["c1", "c2", "v"]
        await volumes.flatten("c2")
        assert await containers(store) == ["c2"]
        await volumes.delete("c2")
        assert await containers(store) == []

    on_memory(work)


def test_moving_blocks_is_no_change() -> None:
    """What the collector did between two snapshots is not listed as a difference."""

    async def work(store, volumes: StoreVolumes) -> None:
        del store
        await volumes.create("v", 128 * B)
        await churn(volumes, 60)
        first = await volumes.snapshot("v", "s1")
        await volumes.drop_snapshot("v", "s1")  # it would keep the collector from everything before
        disk = await volumes.attach("v", "test")
        for block in range(0, 128, 2):
            await disk.write(block * B, b"y" * B)
        await disk.flush()
        moved = disk.upkeep.moved_blocks
        await disk.upkeep.collect_all()
        assert disk.upkeep.moved_blocks > moved
        changed = [one for one in await disk.changed(first.position, 0, 128 * B) if one.data]
        assert [(one.offset // B, one.length // B) for one in changed] == [
            (block, 1) for block in range(0, 128, 2)
        ]
        await disk.close()

    on_memory(work)


def test_a_volume_is_seen_as_it_was_inside_its_window() -> None:
    """By time; before the window it is refused."""

    async def work(store, volumes: StoreVolumes) -> None:
        del store
        env = RealEnv()
        await volumes.create("v", 64 * B, retention_s=3600)
        disk = await volumes.attach("v", "test")
        stamps = []
        for turn in range(30):
            await disk.write(turn % 4 * B, bytes([turn + 1]) * B, durable=True)
            stamps.append(env.wall_us())
            await asyncio.sleep(0.002)
        for turn in (3, 11, 20, 29):
            view = await volumes.view("v", time_us=stamps[turn])
            expected = [max(t for t in range(turn + 1) if t % 4 == b) + 1 for b in range(4)]
            found = await view.read(0, 4 * B)
            assert [found[block * B] for block in range(4)] == expected
            await view.close()
        assert not [one for one in (await volumes._load("v")).state.pins if one.kind == "view"]
        with pytest.raises(Exception, match="retention"):
            await volumes.view("v", time_us=stamps[0] - 3601_000_000)
        await disk.close()

    on_memory(work)


def test_a_cut_over_several_volumes_is_one_instant() -> None:
    """Held writers let the cut through, and go on afterwards."""

    async def work(store, volumes: StoreVolumes) -> None:
        del store
        disks = []
        for name in ("a", "b"):
            await volumes.create(name, 16 * B)
            disks.append(await volumes.attach(name, "test"))
            await disks[-1].write(0, b"1" * B, durable=True)
        for disk in disks:
            await disk.hold()
        writing = [asyncio.create_task(disk.write(0, b"2" * B, durable=True)) for disk in disks]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in writing)
        await volumes.snapshot_group([("a", "g"), ("b", "g")])
        for disk in disks:
            disk.release()
        await asyncio.gather(*writing)
        for name, disk in zip("ab", disks, strict=True):
            view = await volumes.view(name, snapshot_id="g")
            assert await view.read(0, B) == b"1" * B
            assert await disk.read(0, B) == b"2" * B
            await view.close()
            await disk.close()

    on_memory(work)


def test_fsck_and_the_orphan_sweep_take_volumes_for_any_account(tmp_path: Path) -> None:
    """Nothing is missing, and a sweep takes nothing that a volume needs."""

    async def work() -> None:
        async with LocalCluster(tmp_path) as local:
            volumes = volumes_on(local.env, local.store, MemoryKeys(local.env), SMALL)
            await volumes.create("v", 128 * B)
            model = await churn(volumes, 60)
            await volumes.snapshot("v", "s")
            await volumes.clone("c", "v", "s")
            local.store.reaper._queue.clear()
            await repair(local)
            for _ in range(3):
                await Orphans(local.cluster, Pace(1e12)).one_pass()
            checker = Checker(local.cluster, lambda *_: None, deep=True, again_s=0.02)
            report = await checker.run()
            assert report.findings == [], report.findings
            disk = await volumes.attach("c", "test")
            assert await disk.read(0, 128 * B) == model
            await disk.close()

    asyncio.run(work())


def test_many_small_entries_are_merged() -> None:
    """Each write was synced alone; nothing of it died, and yet few objects are left."""

    async def work(store, volumes: StoreVolumes) -> None:
        await volumes.create("v", 512 * B)
        disk = await volumes.attach("v", "test")
        order = random.Random(1).sample(range(512), 200)
        for block in order:
            await disk.write(block * B, bytes([block % 251 + 1]) * B, durable=True)
        await disk.upkeep.idle()
        await disk.upkeep.collect_all()
        left = sum(name.startswith("log/") for name in await objects(store))
        assert left < 60
        for block in order:
            assert await disk.read(block * B, B) == bytes([block % 251 + 1]) * B
        await disk.close()

    on_memory(work)


def test_a_volume_may_be_erasure_coded(tmp_path: Path) -> None:
    """With its policy, its clones likewise; and it reads with a node away."""

    async def work() -> None:
        async with LocalCluster(tmp_path) as local:
            volumes = volumes_on(local.env, local.store, MemoryKeys(local.env), SMALL)
            info = await volumes.create("v", 128 * B, policy="erasure-2-1")
            assert info.policy == "erasure-2-1"
            model = await churn(volumes, 40)
            await volumes.snapshot("v", "s")
            assert (await volumes.clone("c", "v", "s")).policy == "erasure-2-1"
            await local.stop(1)
            disk = await volumes.attach("c", "test")
            assert await disk.read(0, 128 * B) == model
            await disk.close()

    asyncio.run(work())


def test_zeros_in_an_import_are_not_stored() -> None:
    """A mostly empty image takes what is in it, and reads as it was."""

    async def work(store, volumes: StoreVolumes) -> None:
        del store
        await volumes.create("v", 4096 * B)
        disk = await volumes.attach("v", "test")
        image = bytearray(4096 * B)
        for block in (0, 700, 701, 2500):
            image[block * B : (block + 1) * B] = bytes([block % 200 + 1]) * B
        for at in range(0, len(image), 256 * B):
            await disk.write(at, memoryview(image)[at : at + 256 * B])
        assert await disk.read(0, len(image)) == image
        await disk.flush()
        assert await disk.read(0, len(image)) == image
        data = sum(one.length for one in await disk.extents(0, len(image)) if one.data)
        assert data == 3 * 16 * B
        await disk.close()

    on_memory(work)
