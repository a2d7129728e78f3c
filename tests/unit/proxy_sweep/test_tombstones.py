"""Tombstones on a cluster: they go when every replica has them, and a name's later life is its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from core.errors import NotFound, UnknownOutcome
from core.stamp import clock_of
from objectd import wire
from proxy.repair.pace import Pace
from proxy.store import envelope as envelopes
from proxy.store.record import ObjectName
from proxy.store.registers import _Attempt
from proxy.sweep.tombstones import EVERYTHING, Reclaimed, Tombstones
from tests.local_cluster import LocalCluster
from tests.unit.proxy_repair.test_repair import draft, make_containers, pieces, repair

ACCOUNT = "AUTH_repair"
FUTURE_US = -60_000_000  # also what is not old yet
NAMES = [f"o{number}" for number in range(20)]


def held(cluster: LocalCluster) -> int:
    """Tombstones on all devices."""
    found = 0
    for number, server in cluster.servers.items():
        device = server.devices[number]
        for range_id in device.ranges():
            found += len(
                device.reclaim.tombstones(
                    wire.TombstonesCall(range_id, wire.ANY_CONFIG, b"", EVERYTHING)
                ).rows
            )
    return found


async def fill(cluster: LocalCluster, *, keep: int = 5) -> None:
    for name in NAMES:
        where = ObjectName(ACCOUNT, "plain", name)
        await cluster.store.put_object(where, pieces(b"body of " + name.encode()), draft)
    for name in NAMES[keep:]:
        await cluster.store.delete_object(ObjectName(ACCOUNT, "plain", name))


async def sweep(cluster: LocalCluster, older_than_us: int = FUTURE_US) -> Reclaimed:
    return await Tombstones(cluster.cluster, Pace(1e12), older_than_us=older_than_us).one_pass()


def run(root: Path, scenario) -> None:
    async def body() -> None:
        async with LocalCluster(root) as cluster:
            await make_containers(cluster)
            await scenario(cluster)

    asyncio.run(body())


def test_old_tombstones_go_and_the_names_can_be_used_again(tmp_path: Path) -> None:
    """Also after every device was restarted; young ones stay."""

    async def scenario(cluster: LocalCluster) -> None:
        await fill(cluster)
        await repair(cluster)
        assert await sweep(cluster, 3_600_000_000) == Reclaimed(0, complete=True)
        assert held(cluster) == 45
        assert await sweep(cluster) == Reclaimed(15, complete=True)
        assert held(cluster) == 0
        for number in range(4):
            await cluster.stop(number)
            await cluster.start(number)
        assert await cluster.cluster.wait_up(5)
        assert held(cluster) == 0
        info = await cluster.store.get_container(ACCOUNT, "plain")
        assert info.object_count == 5
        with pytest.raises(NotFound):
            await cluster.store.get_object(ObjectName(ACCOUNT, "plain", NAMES[-1]))
        where = ObjectName(ACCOUNT, "plain", NAMES[-1])
        await cluster.store.put_object(where, pieces(b"again"), draft)
        assert (await cluster.store.get_object(where)).record.size == 5
        await repair(cluster)
        assert (await repair(cluster)).registers == 0

    run(tmp_path, scenario)


def test_one_replica_that_is_away_or_behind_keeps_them(tmp_path: Path) -> None:
    """It may hold what they ended."""

    async def scenario(cluster: LocalCluster) -> None:
        handle = await cluster.store._containers.read(ACCOUNT, "plain")
        away = cluster.cluster.index_replicas(handle.range_id("objects")).targets[1].device
        await cluster.stop(away)
        await fill(cluster)
        assert await sweep(cluster) == Reclaimed(0, complete=False)
        assert held(cluster) == 30
        await cluster.start(away)
        assert await cluster.cluster.wait_up(5)
        await repair(cluster)
        assert (await sweep(cluster)).names == 15
        assert held(cluster) == 0

    run(tmp_path, scenario)


def test_accounts_and_containers_are_no_tombstones(tmp_path: Path) -> None:
    """An account's record does not list either, and stays."""

    async def scenario(cluster: LocalCluster) -> None:
        await cluster.store.update_account(ACCOUNT, {"meta:colour": "green"})
        await cluster.store.create_container(ACCOUNT, "old", policy=None, change={})
        await cluster.store.delete_container(ACCOUNT, "old")
        await repair(cluster)
        assert (await sweep(cluster)).names == 1
        info = await cluster.store.get_account(ACCOUNT)
        assert info.record.attributes == {"meta:colour": "green"}
        assert info.container_count == 3

    run(tmp_path, scenario)


def test_whether_a_request_took_effect_is_unknown_below_the_floor(tmp_path: Path) -> None:
    """Its record may have been there and been reclaimed, also when somebody wrote since."""

    async def scenario(cluster: LocalCluster) -> None:
        await fill(cluster)
        await repair(cluster)
        await sweep(cluster)
        devices = [server.devices[number] for number, server in cluster.servers.items()]
        floor = max(one.stats(range_id).floor for one in devices for range_id in one.ranges())
        attempt = _Attempt(wire.WANT_META)
        attempt.sent, attempt.request_id = True, floor
        registers = cluster.store.registers
        parent = envelopes.raised(envelopes.EMPTY, floor)
        with pytest.raises(UnknownOutcome):
            registers._own_outcome(parent, attempt)
        child = envelopes.descend(parent, EVERYTHING, b"\xc0")
        with pytest.raises(UnknownOutcome):
            registers._own_outcome(child, attempt)
        assert clock_of(floor) > 0

    run(tmp_path, scenario)
