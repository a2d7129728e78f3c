"""Expired objects leave listings, statistics and disks; nothing else does."""

from __future__ import annotations

import asyncio

from core.errors import NotFound
from objectd import wire
from proxy import expirer
from proxy.store.record import Draft, ListQuery
from tests.unit.proxy_store.cloud import A, C, Cloud, on_cloud, pieces, where


async def put(cloud: Cloud, name: str, data: bytes, *, lives_s: int) -> None:
    env = cloud.cluster.proxies[0]._links.env  # type: ignore[union-attr]
    expires_s = env.wall_us() // 1_000_000 + lives_s if lives_s else 0
    draft = Draft("a/b", {}, expires_s)
    await cloud.store.put_object(where(name), pieces(data), lambda _: draft)


async def expire(cloud: Cloud) -> int:
    """One look at every device; returns how many objects were deleted."""
    links = cloud.cluster.proxies[0]._links
    assert links is not None
    count = 0
    for target in links.targets:
        count += await expirer.expire_device(links, cloud.store, target)
    return count


def test_expired_objects_are_deleted_with_their_blobs() -> None:
    """Before: hidden from reads, still listed. After: gone everywhere. What lives on is untouched."""

    async def work(cloud: Cloud) -> None:
        long_name = "n" * 1000
        await put(cloud, "small", b"x", lives_s=10)
        await put(cloud, long_name, bytes(20_000), lives_s=10)
        await put(cloud, "later", b"y", lives_s=1000)
        await put(cloud, "ever", b"z", lives_s=0)
        assert await expire(cloud) == 0
        await asyncio.sleep(11)
        try:
            await cloud.get("small")
        except NotFound:
            pass
        else:
            raise AssertionError("an expired object was delivered")
        assert (await cloud.store.get_container(A, C)).object_count == 4
        assert await expire(cloud) == 2
        assert await expire(cloud) == 0
        rows = (await cloud.store.list_objects(A, C, ListQuery())).rows
        assert [row.name for row in rows] == ["ever", "later"]
        assert (await cloud.store.get_container(A, C)).object_count == 2
        await asyncio.sleep(10)
        assert sum(node.device().blob_count for node in cloud.cluster.nodes) == 0

    on_cloud(work)


def test_a_new_version_is_never_deleted_for_the_old_one() -> None:
    """A device that missed the new version still has the old expiry; a majority decides."""

    async def work(cloud: Cloud) -> None:
        await put(cloud, "o", b"old", lives_s=10)
        for number in range(4):
            cloud.pause(number)
            await put(cloud, "o", b"new", lives_s=0)
            cloud.resume()
            await asyncio.sleep(11)
            assert await expire(cloud) == 0
            assert await cloud.get("o") == b"new"
            await put(cloud, "o", b"old", lives_s=10)

    on_cloud(work)


def test_a_device_that_missed_a_fence_does_not_hold_up_expiry() -> None:
    """Its rows name an older stage; they are deleted at the stage that the others know."""

    async def work(cloud: Cloud) -> None:
        await put(cloud, "a", b"x", lives_s=10)
        await put(cloud, "b", b"x", lives_s=10)
        record = (await cloud.store.get_container(A, C)).record
        handle = await cloud.store._containers.read(A, C)
        range_id = handle.range_id("objects")
        links = cloud.cluster.proxies[0]._links
        assert links is not None
        replicas = links.index_replicas(range_id).targets
        for target in replicas[1:]:
            head = wire.encode(wire.Fence(range_id, record.stage + 1, wire.ANY_CONFIG))
            assert (await target.link.ask(wire.FENCE, target.device, head)).status == wire.OK
        await asyncio.sleep(11)
        assert await expirer.expire_device(links, cloud.store, replicas[0]) == 2
        assert (await cloud.store.list_objects(A, C, ListQuery())).rows == []

    on_cloud(work)


def test_expiry_runs_by_itself_and_survives_what_goes_wrong() -> None:
    """With a node down and another paused it goes on with the rest, and catches up."""

    async def work(cloud: Cloud) -> None:
        links = cloud.cluster.proxies[0]._links
        assert links is not None
        cloud.as_proxy(0, lambda: expirer.run_for_ever(links, cloud.store))
        for number in range(20):
            await put(cloud, f"o{number}", b"x", lives_s=10)
        cloud.kill(1)
        await asyncio.sleep(30)
        cloud.cluster.nodes[1].start()
        cloud.pause(2)
        await asyncio.sleep(20)
        cloud.resume()
        await asyncio.sleep(20)
        assert (await cloud.store.list_objects(A, C, ListQuery())).rows == []

    on_cloud(work)
