"""The library on the store and its model are the same volumes: one suite for every verb of the port."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, NotFound, Refused
from core.real import RealEnv
from tests.local_cluster import POLICIES, LocalCluster
from tests.model.memory_store import MemoryStore
from volume.keys import FileKeys, MemoryKeys
from volume.library import volumes_on
from volume.memory import MemoryVolumes
from volume.port import BLOCK_BYTES, SIZE_MAX, Disk, Extent, Fenced, Volumes
from volume.tuning import STANDARD, Tuning

Work = Callable[[Volumes], Awaitable[Any]]
OnVolumes = Callable[[Work], Any]
B = BLOCK_BYTES
MIB = 1 << 20


SMALL = Tuning(
    batch_blocks=16,
    leaf_blocks=64,
    idle_s=0.01,
    checkpoint_entries=6,
    checkpoint_blocks=40,
    delta_runs=40,
    delta_bytes=200,
    collect_min_blocks=16,
    small_blocks=2,
    small_count=12,
    look_every=1,
    replay_ahead=4,
    cache_bytes=256 * 1024,
    pieces_max=8,
)


def made(kind: str) -> Volumes:
    """Volumes of a kind on a store in memory; `small` ones do everything every few blocks."""
    env = RealEnv()
    if kind == "model":
        return MemoryVolumes(env.wall_us)
    tuning = SMALL if kind == "small" else STANDARD
    return volumes_on(env, MemoryStore(env.wall_us, POLICIES), MemoryKeys(env), tuning)


@pytest.fixture(params=["model", "library", "small", "cluster"])
def on_volumes(request: pytest.FixtureRequest, tmp_path: Path) -> OnVolumes:
    """Runs a coroutine with volumes."""

    async def run(work: Work) -> Any:
        if request.param != "cluster":
            return await work(made(request.param))
        async with LocalCluster(tmp_path) as local:
            keys = FileKeys(tmp_path / "keys", local.env)
            return await work(volumes_on(local.env, local.store, keys, SMALL))

    return lambda work: asyncio.run(run(work))


def fill(number: int, length: int) -> bytes:
    return random.Random(number).randbytes(length)


async def whole(disk: Disk) -> bytes:
    return await disk.read(0, disk.size)


def merged(extents: list[Extent]) -> list[tuple[int, int, bool]]:
    """Extents with neighbours of a kind joined, so that two ways to cut a run are the same."""
    runs: list[tuple[int, int, bool]] = []
    for offset, length, data in extents:
        if runs and runs[-1][2] == data and runs[-1][0] + runs[-1][1] == offset:
            runs[-1] = (runs[-1][0], runs[-1][1] + length, data)
        else:
            runs.append((offset, length, data))
    return runs


def test_what_was_written_is_read(on_volumes: OnVolumes) -> None:
    """Whole blocks, parts of blocks, across blocks, before and after a flush, and zeros elsewhere."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 2 * MIB)
        disk = await volumes.attach("v", "test")
        model = bytearray(2 * MIB)
        pieces = [
            (0, B),
            (B, 3 * B),
            (100, 50),
            (5 * B - 7, 20),
            (2 * MIB - 10, 10),
            (B + 1, 9 * B),
        ]
        for number, (offset, length) in enumerate(pieces):
            data = fill(number, length)
            await disk.write(offset, data, durable=number == 3)
            model[offset : offset + length] = data
            assert await whole(disk) == model
        position = await disk.flush()
        assert position > 0
        assert await whole(disk) == model
        await disk.close()
        again = await volumes.attach("v", "test")
        assert await whole(again) == model
        await again.close()

    on_volumes(work)


def test_zeroed_runs_read_as_zeros_and_are_holes(on_volumes: OnVolumes) -> None:
    """Whole blocks become holes, edges are written."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 64 * B)
        disk = await volumes.attach("v", "test")
        model = bytearray(fill(1, 64 * B))
        await disk.write(0, model)
        for offset, length in [
            (8 * B, 4 * B),
            (20 * B + 5, 3 * B),
            (30 * B + 1, 10),
            (60 * B, 4 * B),
        ]:
            await disk.zero(offset, length)
            model[offset : offset + length] = bytes(length)
            assert await whole(disk) == model
        await disk.flush()
        assert await whole(disk) == model
        assert merged(await disk.extents(0, 64 * B)) == [
            (0, 8 * B, True),
            (8 * B, 4 * B, False),
            (12 * B, 9 * B, True),
            (21 * B, 2 * B, False),
            (23 * B, 37 * B, True),
            (60 * B, 4 * B, False),
        ]
        await disk.close()

    on_volumes(work)


def test_a_new_volume_is_one_hole(on_volumes: OnVolumes) -> None:
    """Of any size up to the largest, made at once."""

    async def work(volumes: Volumes) -> None:
        info = await volumes.create("huge", SIZE_MAX)
        assert (info.size, info.parent, info.snapshots) == (SIZE_MAX, None, ())
        disk = await volumes.attach("huge", "test")
        assert not disk.read_only
        assert await disk.read(SIZE_MAX - 100, 100) == bytes(100)
        await disk.write(SIZE_MAX - B, b"x" * B)
        await disk.flush()
        assert await disk.read(SIZE_MAX - 2 * B, 2 * B) == bytes(B) + b"x" * B
        assert merged(await disk.extents(0, SIZE_MAX)) == [
            (0, SIZE_MAX - B, False),
            (SIZE_MAX - B, B, True),
        ]
        await disk.close()

    on_volumes(work)


def test_bad_ids_and_sizes_are_refused(on_volumes: OnVolumes) -> None:
    """Nothing a caller hands in becomes a path."""

    async def work(volumes: Volumes) -> None:
        for bad in ["", "../x", "a/b", "a" * 65, "é", "a\n", "."]:
            with pytest.raises(Refused) as caught:
                await volumes.create(bad, B)
            assert caught.value.code == "BadId"
        for size in [-1, SIZE_MAX + 1]:
            with pytest.raises(Refused) as caught:
                await volumes.create("v", size)
            assert caught.value.code == "BadSize"
        await volumes.create("v", B)
        disk = await volumes.attach("v", "test")
        for offset, length in [(-1, 1), (0, B + 1), (B, 1), (1, B)]:
            with pytest.raises(Refused) as caught:
                await disk.read(offset, length)
            assert caught.value.code == "OutOfRange"
            with pytest.raises(Refused):
                await disk.zero(offset, length)
        with pytest.raises(Refused):
            await disk.write(1, b"x" * B)
        assert await disk.read(B, 0) == b""
        await disk.close()

    on_volumes(work)


def test_creating_is_idempotent(on_volumes: OnVolumes) -> None:
    """The same again is no error; another size under the same id is."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", B)
        await volumes.create("v", B)
        with pytest.raises(Conflict) as caught:
            await volumes.create("v", 2 * B)
        assert caught.value.code == "VolumeExists"
        await volumes.resize("v", 3 * B)
        assert (await volumes.create("v", B)).size == 3 * B
        await volumes.create("empty", 0)
        assert (await volumes.resize("empty", B)).size == B

    on_volumes(work)


def test_what_is_not_there_is_not_found(on_volumes: OnVolumes) -> None:
    """For every verb, with the code that says what is missing."""

    async def work(volumes: Volumes) -> None:
        calls = [
            volumes.describe("x"),
            volumes.delete("x"),
            volumes.resize("x", B),
            volumes.snapshot("x", "s"),
            volumes.drop_snapshot("x", "s"),
            volumes.revert("x", "s"),
            volumes.flatten("x"),
            volumes.attach("x", "test"),
            volumes.view("x"),
            volumes.clone("y", "x", "s"),
        ]
        for call in calls:
            with pytest.raises(NotFound) as caught:
                await call
            assert caught.value.code == "NoSuchVolume"
        await volumes.create("v", B)
        for call in [
            volumes.revert("v", "s"),
            volumes.view("v", snapshot_id="s"),
            volumes.clone("y", "v", "s"),
        ]:
            with pytest.raises(NotFound) as caught:
                await call
            assert caught.value.code == "NoSuchSnapshot"
        await volumes.drop_snapshot("v", "s")

    on_volumes(work)


def test_a_volume_grows_and_never_shrinks(on_volumes: OnVolumes) -> None:
    """Attached or not; what is new reads as zeros."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", B + 100)
        disk = await volumes.attach("v", "test")
        await disk.write(0, b"x" * (B + 100))
        await disk.resize(4 * B)
        assert disk.size == 4 * B
        assert await whole(disk) == b"x" * (B + 100) + bytes(3 * B - 100)
        await disk.write(3 * B, b"y" * B)
        await disk.flush()
        with pytest.raises(Conflict) as caught:
            await disk.resize(B)
        assert caught.value.code == "Shrink"
        await disk.close()
        assert (await volumes.resize("v", 8 * B)).size == 8 * B
        with pytest.raises(Conflict):
            await volumes.resize("v", B)
        again = await volumes.attach("v", "test")
        assert await again.read(3 * B, 2 * B) == b"y" * B + bytes(B)
        await again.close()

    on_volumes(work)


def test_a_later_attachment_fences_the_earlier(on_volumes: OnVolumes) -> None:
    """Neither writes nor flushes of the earlier one take effect any more."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 4 * B)
        first = await volumes.attach("v", "one")
        await first.write(0, b"a" * B)
        await first.flush()
        second = await volumes.attach("v", "two")
        await second.write(B, b"b" * B)
        await second.flush()
        with pytest.raises(Fenced):
            await first.write(0, b"c" * B, durable=True)
        with pytest.raises(Fenced):
            await first.flush()
        with pytest.raises(Fenced):
            await first.write(0, b"d" * B)
        assert await whole(second) == b"a" * B + b"b" * B + bytes(2 * B)
        await second.close()
        third = await volumes.attach("v", "three")
        assert await whole(third) == b"a" * B + b"b" * B + bytes(2 * B)
        await third.close()

    on_volumes(work)


def test_a_snapshot_stays_what_it_was(on_volumes: OnVolumes) -> None:
    """While the volume changes, is trimmed and grows; and it is read only."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 8 * B)
        disk = await volumes.attach("v", "test")
        await disk.write(0, b"a" * 8 * B)
        await disk.flush()
        info = await volumes.snapshot("v", "s1")
        assert (info.id, info.size) == ("s1", 8 * B)
        assert await volumes.snapshot("v", "s1") == info
        await disk.write(2 * B, b"b" * B)
        await disk.zero(4 * B, 2 * B)
        await disk.resize(16 * B)
        await disk.flush()
        await volumes.snapshot("v", "s2")
        view = await volumes.view("v", snapshot_id="s1")
        assert view.read_only
        assert view.size == 8 * B
        assert await whole(view) == b"a" * 8 * B
        with pytest.raises(Refused) as caught:
            await view.write(0, b"x" * B)
        assert caught.value.code == "ReadOnly"
        with pytest.raises(Refused):
            await view.zero(0, B)
        await view.close()
        view = await volumes.view("v", snapshot_id="s2")
        expected = b"a" * 2 * B + b"b" * B + b"a" * B + bytes(2 * B) + b"a" * 2 * B + bytes(8 * B)
        assert await whole(view) == expected
        await view.close()
        names = [one.id for one in (await volumes.describe("v")).snapshots]
        assert names == ["s1", "s2"]
        with pytest.raises(Conflict) as conflict:
            await volumes.delete("v")
        assert conflict.value.code == "HasSnapshots"
        await volumes.drop_snapshot("v", "s1")
        await volumes.drop_snapshot("v", "s1")
        await disk.close()

    on_volumes(work)


def test_clones_live_on_their_own(on_volumes: OnVolumes) -> None:
    """Clones of clones, each written, the sources changed and gone."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 4 * B)
        disk = await volumes.attach("v", "test")
        await disk.write(0, b"a" * 4 * B)
        await disk.close()
        await volumes.snapshot("v", "s")
        info = await volumes.clone("c1", "v", "s", size=8 * B)
        assert (info.size, info.parent) == (8 * B, "v")
        await volumes.clone("c1", "v", "s", size=8 * B)
        with pytest.raises(Conflict) as conflict:
            await volumes.clone("c1", "v", "other")
        assert conflict.value.code == "VolumeExists"
        with pytest.raises(Conflict) as conflict:
            await volumes.clone("c2", "v", "s", size=B)
        assert conflict.value.code == "Shrink"
        disk = await volumes.attach("c1", "test")
        await disk.write(B, b"b" * B)
        await disk.write(6 * B, b"c" * B)
        await disk.close()
        await volumes.snapshot("c1", "s")
        await volumes.clone("c2", "c1", "s")
        await volumes.drop_snapshot("v", "s")
        await volumes.delete("v")
        disk = await volumes.attach("c2", "test")
        c1 = b"a" * B + b"b" * B + b"a" * 2 * B + bytes(2 * B) + b"c" * B + bytes(B)
        assert await whole(disk) == c1
        await disk.write(0, b"d" * B)
        await disk.close()
        await volumes.drop_snapshot("c1", "s")
        await volumes.delete("c1")
        disk = await volumes.attach("c2", "test")
        assert await whole(disk) == b"d" * B + c1[B:]
        await disk.close()
        await volumes.delete("c2")
        for gone in ["v", "c1", "c2"]:
            with pytest.raises(NotFound):
                await volumes.describe(gone)

    on_volumes(work)


def test_a_flattened_clone_has_no_parent(on_volumes: OnVolumes) -> None:
    """It reads as before, also after the parent has gone."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 64 * B)
        disk = await volumes.attach("v", "test")
        data = fill(3, 64 * B)
        await disk.write(0, data)
        await disk.zero(8 * B, B)
        await disk.close()
        await volumes.snapshot("v", "s")
        await volumes.clone("c", "v", "s")
        disk = await volumes.attach("c", "test")
        await disk.write(0, b"c" * B)
        await disk.close()
        await volumes.flatten("c")
        await volumes.flatten("c")
        assert (await volumes.describe("c")).parent is None
        await volumes.drop_snapshot("v", "s")
        await volumes.delete("v")
        disk = await volumes.attach("c", "test")
        assert await whole(disk) == b"c" * B + data[B : 8 * B] + bytes(B) + data[9 * B :]
        assert merged(await disk.extents(8 * B, B)) == [(8 * B, B, False)]
        await disk.close()

    on_volumes(work)


def test_a_volume_goes_back_to_a_snapshot(on_volumes: OnVolumes) -> None:
    """Later snapshots stay, and so does what is written afterwards."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 4 * B)
        disk = await volumes.attach("v", "test")
        await disk.write(0, b"a" * 2 * B)
        await disk.flush()
        await volumes.snapshot("v", "s1")
        await disk.write(B, b"b" * 2 * B)
        await disk.flush()
        await volumes.snapshot("v", "s2")
        await disk.write(0, b"c" * B)
        await disk.close()
        await volumes.revert("v", "s1")
        disk = await volumes.attach("v", "test")
        assert await whole(disk) == b"a" * 2 * B + bytes(2 * B)
        await disk.write(3 * B, b"d" * B)
        await disk.close()
        view = await volumes.view("v", snapshot_id="s2")
        assert await whole(view) == b"a" * B + b"b" * 2 * B + bytes(B)
        await view.close()
        await volumes.revert("v", "s2")
        disk = await volumes.attach("v", "test")
        assert await whole(disk) == b"a" * B + b"b" * 2 * B + bytes(B)
        await disk.close()

    on_volumes(work)


def test_what_differs_between_snapshots_is_listed(on_volumes: OnVolumes) -> None:
    """Written and zeroed runs, in order; from the beginning when no earlier one is named."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 32 * B)
        disk = await volumes.attach("v", "test")
        await disk.write(0, b"a" * 8 * B)
        await disk.flush()
        first = await volumes.snapshot("v", "s1")
        await disk.write(2 * B, b"b" * B)
        await disk.zero(4 * B, 2 * B)
        await disk.write(20 * B, b"c" * B)
        await disk.flush()
        await volumes.snapshot("v", "s2")
        await disk.write(0, b"later" + bytes(B - 5))
        found = [one async for one in volumes.changes("v", "s1", "s2")]
        assert merged(found) == [
            (2 * B, B, True),
            (4 * B, 2 * B, False),
            (20 * B, B, True),
        ]
        found = [one async for one in volumes.changes("v", None, "s1")]
        assert merged(found) == [(0, 8 * B, True)]
        await disk.flush()
        changed = merged(await disk.changed(first.position, 0, 32 * B))
        assert changed == [
            (0, B, True),
            (B, B, False),
            (2 * B, B, True),
            (3 * B, B, False),
            (4 * B, 2 * B, True),
            (6 * B, 14 * B, False),
            (20 * B, B, True),
            (21 * B, 11 * B, False),
        ]
        await disk.close()

    on_volumes(work)


def test_a_deleted_volume_is_gone(on_volumes: OnVolumes) -> None:
    """And an attachment of it can write no more; its id may be used again."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 4 * B)
        disk = await volumes.attach("v", "test")
        await disk.write(0, b"a" * B)
        await disk.flush()
        await volumes.delete("v")
        with pytest.raises(Fenced):
            await disk.write(0, b"b" * B, durable=True)
        with pytest.raises(NotFound):
            await volumes.describe("v")
        await volumes.create("v", 8 * B)
        again = await volumes.attach("v", "test")
        assert await whole(again) == bytes(8 * B)
        await again.close()

    on_volumes(work)


def test_a_view_of_the_end_is_read_only(on_volumes: OnVolumes) -> None:
    """It shows what was flushed before it was opened."""

    async def work(volumes: Volumes) -> None:
        await volumes.create("v", 4 * B)
        disk = await volumes.attach("v", "test")
        await disk.write(0, b"a" * B)
        await disk.flush()
        view = await volumes.view("v")
        await disk.write(0, b"b" * B)
        await disk.flush()
        assert await whole(view) == b"a" * B + bytes(3 * B)
        assert view.read_only
        await view.close()
        await disk.close()

    on_volumes(work)


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_random_work_reads_like_a_bytearray(
    on_volumes: OnVolumes, seed: int, encrypted: bool
) -> None:
    """Writes, zeros, flushes, snapshots and attachments in any order."""

    async def work(volumes: Volumes) -> None:
        chance = random.Random(seed)
        size = 300 * B + 1000
        await volumes.create("v", size, encrypted=encrypted)
        model = bytearray(size)
        disk = await volumes.attach("v", "test")
        kept: dict[str, bytes] = {}
        for step in range(120):
            offset = chance.randrange(size)
            length = min(size - offset, chance.choice([1, 512, B, 5 * B, 70 * B]))
            if chance.random() < 0.5:
                offset -= offset % B
                length = min(size - offset, -(-length // B) * B)
            match chance.choice(["write"] * 6 + ["zero"] * 2 + ["flush", "pin", "again"]):
                case "write":
                    data = fill(step, length)
                    await disk.write(offset, data, durable=chance.random() < 0.1)
                    model[offset : offset + length] = data
                case "zero":
                    await disk.zero(offset, length)
                    model[offset : offset + length] = bytes(length)
                case "flush":
                    await disk.flush()
                case "pin":
                    await disk.flush()
                    await volumes.snapshot("v", f"s{step}")
                    kept[f"s{step}"] = bytes(model)
                case _:
                    await disk.close()
                    disk = await volumes.attach("v", "test")
            assert await disk.read(offset, length) == model[offset : offset + length]
        assert await whole(disk) == model
        for name, content in kept.items():
            view = await volumes.view("v", snapshot_id=name)
            assert await whole(view) == content
            await view.close()
        await disk.close()

    on_volumes(work)
