"""Deleting a container races with writes into it, with other deleters, and with its own death."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import Conflict, NotFound, RingstackError, Stale
from proxy.store.record import ListQuery
from tests.unit.proxy_store.cloud import A, C, Cloud, on_cloud, where


async def settled(work) -> object:
    """Result of a verb, or the error it raised."""
    try:
        return await work
    except RingstackError as error:
        return error


@pytest.mark.parametrize("size", [10, 20_000])
def test_a_put_that_was_answered_survives_a_racing_delete(size: int) -> None:
    """Either the PUT is told that there is no container, or the container is still there with it."""
    outcomes = set()
    for seed in range(60):

        async def work(cloud: Cloud, seed: int = seed) -> str:
            other = cloud.store_of(1)
            await other.get_container(A, C)  # the second proxy knows the container
            await asyncio.sleep(seed % 7 * 0.0004)
            delete = asyncio.ensure_future(settled(cloud.store.delete_container(A, C)))
            await asyncio.sleep(seed * 0.0002)
            put = await settled(cloud.put("o", bytes(size), store=other))
            deleted = await delete
            if isinstance(put, NotFound):
                assert deleted is None
                return "deleted"
            if isinstance(put, RingstackError):
                return "open"
            assert isinstance(deleted, Conflict), deleted
            assert await cloud.get("o") == bytes(size)
            assert (await cloud.store.get_container(A, C)).object_count == 1
            return "kept"

        outcomes.add(on_cloud(work, seed))
    assert {"deleted", "kept"} <= outcomes


def test_of_many_deleters_one_succeeds() -> None:
    """The others are told that it is gone."""
    for seed in range(10):

        async def work(cloud: Cloud) -> None:
            deletes = [cloud.store_of(n % 2).delete_container(A, C) for n in range(4)]
            results = await asyncio.gather(*(settled(one) for one in deletes))
            assert results.count(None) >= 1
            assert all(one is None or isinstance(one, RingstackError) for one in results)
            with pytest.raises(NotFound):
                await cloud.store.get_container(A, C)

        on_cloud(work, seed)


def test_a_deleter_that_dies_at_any_moment_leaves_a_container_that_works() -> None:
    """Fenced and not deleted, or deleted: afterwards reads, writes and deletes all go on."""
    alive = gone = 0
    for step in range(24):

        async def work(cloud: Cloud, step: int = step) -> bool:
            await cloud.put("o", b"x")
            await cloud.store.delete_object(where("o"))
            cloud.as_proxy(1, lambda: cloud.store_of(1).delete_container(A, C))
            await asyncio.sleep(step * 0.0008)
            cloud.cluster.proxies[1].kill()
            found = await settled(cloud.put("after", b"y"))
            if isinstance(found, NotFound):
                assert await cloud.store.create_container(A, C, policy=None, change={})
                await cloud.put("after", b"y")
                assert await cloud.get("after") == b"y"
                return False
            assert not isinstance(found, Stale), "a fence was not lifted"
            assert await cloud.get("after") == b"y"
            rows = (await cloud.store.list_objects(A, C, ListQuery())).rows
            assert [row.name for row in rows] == ["after"]
            await cloud.store.delete_object(where("after"))
            await cloud.store.delete_container(A, C)
            return True

        if on_cloud(work, step):
            alive += 1
        else:
            gone += 1
    assert alive
    assert gone


def test_a_container_made_again_shares_nothing_with_the_old_one() -> None:
    """A proxy that still remembers the old one finds the new one, and none of the old names."""

    async def work(cloud: Cloud) -> None:
        other = cloud.store_of(1)
        await cloud.put("old", b"x", store=other)
        await other.delete_object(where("old"))
        await cloud.store.delete_container(A, C)
        await cloud.store.create_container(A, C, policy=None, change={})
        await cloud.put("new", b"y", store=other)
        for store in (cloud.store, other):
            rows = (await store.list_objects(A, C, ListQuery())).rows
            assert [row.name for row in rows] == ["new"]
            with pytest.raises(NotFound):
                await store.get_object(where("old"))

    on_cloud(work)


def test_a_deleted_container_is_gone_for_every_proxy_at_once() -> None:
    """Its record may be cached for a second; the fence tells all the same."""

    async def work(cloud: Cloud) -> None:
        other = cloud.store_of(1)
        assert (await other.list_objects(A, C, ListQuery())).rows == []
        await cloud.store.delete_container(A, C)
        for call in (
            other.list_objects(A, C, ListQuery()),
            other.get_object(where("o")),
            cloud.put("o", b"x", store=other),
            other.delete_object(where("o")),
            other.get_container(A, C),
        ):
            with pytest.raises(NotFound) as caught:
                await call
            assert caught.value.code == "NoSuchContainer"

    on_cloud(work)


def test_a_container_with_objects_costs_its_deleter_no_fence() -> None:
    """Seen to be occupied first, so a mistaken delete disturbs nobody."""

    async def work(cloud: Cloud) -> None:
        await cloud.put("o", b"x")
        with pytest.raises(Conflict):
            await cloud.store.delete_container(A, C)
        assert (await cloud.store.get_container(A, C)).record.stage == 0

    on_cloud(work)
