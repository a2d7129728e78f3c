"""Blobs of replaced versions go when nobody can be reading them, and a flood cannot fill the memory."""

from __future__ import annotations

import asyncio

from core.limits import STRIPE_BYTES
from proxy.store import reaper
from proxy.store.reaper import Reaper
from proxy.store.record import Draft, Extent, ObjectRecord
from tests.unit.proxy_store.cloud import Cloud, on_cloud, where
from tests.virtual import World, run


class Drops:
    """Remembers what was dropped, and when."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.blobs: list[tuple[float, bytes, int]] = []

    def drop(self, blobs) -> None:
        self.blobs += [(self.loop.time(), blob, policy) for blob, policy in blobs]

    async def drop_now(self, blobs, timeout_s: float) -> None:
        self.drop(blobs)


def record(*numbers: int, shared: bool = False) -> ObjectRecord:
    extents = tuple(Extent(b"%016d" % n, n % 3, 9, 0, 9) for n in numbers)
    return ObjectRecord(1, 9, "e", "a/b", {}, extents, 9, 0, shared)


def test_blobs_go_after_the_delay_and_not_before() -> None:
    """Each with its policy; shared and inline records have none to give."""

    async def work(world: World) -> None:
        drops = Drops(world.loop)
        made = Reaper(drops, 900.0)  # type: ignore[arg-type]
        began = world.loop.time()
        made.retire(record(1, 2))
        made.retire(record(7, shared=True))
        made.retire(record())
        await asyncio.sleep(600)
        made.retire(record(3))
        await asyncio.sleep(299)
        assert drops.blobs == []
        await asyncio.sleep(1000)
        times = {blob: at - began for at, blob, _ in drops.blobs}
        assert times.keys() == {b"%016d" % n for n in (1, 2, 3)}
        assert 900 <= times[b"%016d" % 1] < 902
        assert 1500 <= times[b"%016d" % 3] < 1502
        assert {(blob, policy) for _, blob, policy in drops.blobs} == {
            (b"%016d" % n, n % 3) for n in (1, 2, 3)
        }
        assert made.queued_bytes == 0

    run(work)


def test_a_flood_is_bounded_and_loses_nothing() -> None:
    """Beyond the limit the oldest go early; every blob goes in the end."""
    count = 60
    per_record = 20_000

    async def work(world: World) -> None:
        drops = Drops(world.loop)
        made = Reaper(drops, 900.0)  # type: ignore[arg-type]
        for number in range(count):
            start = number * per_record
            made.retire(record(*range(start, start + per_record)))
            assert made.queued_bytes <= reaper.QUEUE_BYTES_MAX
        assert drops.blobs
        await asyncio.sleep(2000)
        assert len({blob for _, blob, _ in drops.blobs}) == count * per_record
        assert made.queued_bytes == 0

    run(work)


def test_a_clean_stop_drops_what_is_queued() -> None:
    """Nobody else remembers it."""

    async def work(cloud: Cloud) -> None:
        for _ in range(2):
            await cloud.put("o", bytes(STRIPE_BYTES))
        await cloud.store.delete_object(where("o"))
        assert sum(node.device().blob_count for node in cloud.cluster.nodes) == 6
        await cloud.store.reaper.flush(2.0)
        assert sum(node.device().blob_count for node in cloud.cluster.nodes) == 0

    on_cloud(work)


def test_overwritten_and_deleted_bodies_give_their_space_back() -> None:
    """After the delay; what a copy shares stays."""

    async def work(cloud: Cloud) -> None:
        await cloud.put("a", bytes(20_000))
        await cloud.put("b", bytes(30_000))
        found = await cloud.store.get_object(where("b"))
        await cloud.store.copy_object(found, where("copy"), Draft("a/b", {}))
        await cloud.put("a", bytes(25_000))
        await cloud.store.delete_object(where("b"))
        held = sum(node.device().blob_count for node in cloud.cluster.nodes)
        assert held == 9
        await asyncio.sleep(10)
        assert sum(node.device().blob_count for node in cloud.cluster.nodes) == 6
        assert await cloud.get("copy") == bytes(30_000)
        assert await cloud.get("a") == bytes(25_000)

    on_cloud(work)
