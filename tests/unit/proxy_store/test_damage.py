"""Damaged registers and rotten blobs heal from the other replicas."""

from __future__ import annotations

import asyncio
import random

import pytest

from core.errors import Refused
from objectd import rows
from proxy.store.layout import layout_of
from proxy.store.record import ListQuery
from tests.unit.proxy_store.cloud import A, C, Cloud, on_cloud


def damaged_rows(cloud: Cloud) -> int:
    return sum(
        rows.unpack_register(value).damaged
        for node in cloud.cluster.nodes
        for _, value in node.device().index.scan(b"R", b"S")
    )


def test_a_damaged_register_is_read_listed_and_healed() -> None:
    """One replica's log went bad and its index was lost: clients notice nothing, and a listing heals it."""

    async def work(cloud: Cloud) -> None:
        bodies = {f"o{n}": random.Random(n).randbytes(500) for n in range(20)}
        for name, body in bodies.items():
            await cloud.put(name, body)
        node = cloud.cluster.nodes[2]
        node.device().log.roll()
        await cloud.put("last", b"x")
        for body in bodies.values():
            cloud.spoil(2, body[100:200])
        node.kill(power_loss=True)
        node.start()
        await asyncio.sleep(3)
        assert damaged_rows(cloud) > 5
        for name, body in bodies.items():
            assert await cloud.get(name) == body
        for _ in range(2):
            page = await cloud.store.list_objects(A, C, ListQuery())
            assert [row.name for row in page.rows] == sorted([*bodies, "last"])
            sizes = {row.name: row.summary.size for row in page.rows if row.summary}
            assert all(sizes[name] == 500 for name in bodies)
            await asyncio.sleep(1)
        assert damaged_rows(cloud) == 0
        assert (await cloud.store.get_container(A, C)).object_count == 21
        for name, body in bodies.items():
            await cloud.put(name, body + b"new")
            assert await cloud.get(name) == body + b"new"

    on_cloud(work)


@pytest.mark.parametrize("container", [C, "coded"])
def test_a_rotten_piece_is_replaced_by_repair(container: str) -> None:
    """Once a reader has met it; afterwards that copy alone would be enough again."""

    async def work(cloud: Cloud) -> None:
        body = b"".join(random.Random(n).randbytes(1000) for n in range(60))
        found = await cloud.put("o", body, container)
        [extent] = found.record.manifest
        policy = cloud.cluster.epoch.policies[extent.policy]
        layout = layout_of(policy, extent.blob_size)
        asked_first = next(cloud.store.blobs._candidates(policy, extent.blob, layout)).device
        if container == "coded":
            asked_first = cloud.store._cluster.blob_targets(extent.blob, policy)[0].device
        for data in cloud.cluster.nodes[asked_first].platter.files.values():
            at = data.find(extent.blob)
            data[at + 3000] ^= 0xFF
        assert await cloud.get("o", container) == body
        device = cloud.cluster.nodes[asked_first].device()
        assert len(device.damage.pieces) == 1
        done = await cloud.cluster.proxies[0].repair()
        assert done.blobs == 1
        assert device.damage.pieces == {}
        assert await cloud.get("o", container) == body

    on_cloud(work)


def test_metadata_that_no_replica_could_hold_is_refused() -> None:
    """At once, and what was there stays."""

    async def work(cloud: Cloud) -> None:
        await cloud.store.update_container(A, C, {"meta:a": "1"})
        with pytest.raises(Refused) as caught:
            await cloud.store.update_container(A, C, {"meta:b": "x" * 70_000})
        assert caught.value.code == "RecordTooLarge"
        record = (await cloud.store.get_container(A, C)).record
        assert record.attributes == {"meta:a": "1"}

    on_cloud(work)
