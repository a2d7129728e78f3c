"""The orphan sweep on a cluster: what nothing names goes, two passes later; what anything names stays."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import UnknownOutcome
from core.frame import Frame
from core.stamp import make_ballot
from objectd import rows, wire
from objectd.device import Device
from proxy.repair.pace import Pace
from proxy.store import envelope, names
from proxy.store.blobs import Written
from proxy.store.cluster import Target
from proxy.store.record import Draft, ObjectName, ObjectRecord
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


def replaced(device: Device) -> list[tuple[bytes, bytes]]:
    """Records that newer ones have replaced, as a device remembers them until the next pass."""
    return list(device.index.scan(b"W", b"X"))


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


def test_a_pass_that_has_lost_a_replaced_record_is_given_up_for_the_next(tmp_path: Path) -> None:
    """Nothing would bring it back; nothing is dropped in its place."""

    async def scenario(cluster: LocalCluster) -> None:
        await put(cluster, "plain", "o")
        await orphan(cluster, 2)
        await sweep(cluster)
        await Orphans(cluster.cluster, Pace(1e12))._begin()
        await put(cluster, "plain", "o")
        held = blobs(cluster)
        devices = [
            device for server in cluster.servers.values() for device in server.devices.values()
        ]
        async with asyncio.timeout(5):  # a put returns with a majority; the third may be under way
            while sum(len(replaced(device)) for device in devices) < 3:
                await asyncio.sleep(0)
        for device in devices:
            for key, value in replaced(device):
                row = rows.unpack_register(value)
                bad = row._replace(flags=row.flags | rows.DAMAGED)
                device.index.put(key, rows.pack_register(bad))
        first = await sweep(cluster)
        assert (first.generation, first.dropped) == (2, 0)
        assert "replaced" in first.problem
        assert blobs(cluster) == held
        second = await sweep(cluster)
        assert (second.generation, second.problem, second.dropped) == (3, "", 5)

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


class Rounds:
    """One name of one range, whose three replicas are called one by one."""

    def __init__(self, cluster: LocalCluster, range_id: bytes) -> None:
        self.range_id = range_id
        self.replicas, _, self._config = cluster.cluster.index_replicas(range_id)
        self._now = cluster.env.wall_us()

    def ballot(self, number: int) -> bytes:
        return make_ballot(0, self._now + number, 7, self._config)

    async def prepare(self, target: Target, number: int) -> wire.Held:
        call = wire.Prepare(self.range_id, b"name", self.ballot(number), wire.WANT_ALL)
        frame = await target.link.ask(wire.PREPARE, target.device, wire.encode(call))
        assert frame.status == wire.OK
        return wire.decode_held(frame.head)

    async def accept(
        self, target: Target, number: int, record: ObjectRecord, *, basis: int, stamp: int
    ) -> Frame:
        entry = names.object_entry(record, b"")
        child = envelope.descend(envelope.EMPTY, self.ballot(1), entry.record)
        body = entry.summary + envelope.seal(child)
        call = wire.Accept(
            self.range_id,
            b"name",
            self.ballot(number),
            entry.flags,
            entry.size,
            0,
            wire.digest_of(body),
            len(entry.summary),
            len(body) - len(entry.summary),
            basis=basis,
            stamp=stamp,
        )
        return await target.link.ask(wire.ACCEPT, target.device, wire.encode(call), body)


def record_of(written: Written) -> ObjectRecord:
    size = written.extent.length
    return ObjectRecord(1, size, "etag", "text/plain", {}, (written.extent,), size)


@pytest.mark.parametrize("broken", ["", "sweep-forgets-replaced"])
def test_a_record_that_was_replaced_on_its_only_holder_may_yet_be_chosen(
    tmp_path: Path, broken: str
) -> None:
    """A held it alone when the pass began; somebody read it there to settle it, and somebody else replaced it.

    Then the sweep looks, and then the settling reaches C. A walk of the rows alone would miss the record,
    and its blob would be gone when B and C choose it.
    """

    async def scenario(cluster: LocalCluster) -> None:
        handle = await cluster.store._containers.read(ACCOUNT, "plain")
        rounds = Rounds(cluster, handle.range_id("objects"))
        a, b, c = rounds.replicas
        policy = cluster.cluster.policies[0]
        old = await cluster.store.blobs.write(policy, bytes(16), BODY)
        first = await rounds.accept(a, 1, record_of(old), basis=0, stamp=old.stamp)
        assert first.status == wire.OK
        await sweep(cluster)
        conductor = Orphans(cluster.cluster, Pace(1e12), broken=frozenset({broken}))
        await conductor._begin()
        seen = [await rounds.prepare(target, 5) for target in (a, c)]
        new = await cluster.store.blobs.write(policy, bytes(16), BODY)
        for target in (a, b):
            await rounds.prepare(target, 9)
        basis = cluster.cluster.generation
        replaced = await rounds.accept(a, 9, record_of(new), basis=basis, stamp=new.stamp)
        assert replaced.status == wire.OK
        await conductor._sweep()
        await conductor._end()
        late = await rounds.accept(
            c, 5, record_of(old), basis=seen[0].generation, stamp=wire.NOTHING_NEW
        )
        assert late.status == wire.OK
        await cluster.stop(a.device)
        assert (old.extent.blob in blobs(cluster)) == (not broken)
        if not broken:
            assert await read(cluster, "plain", "name") == BODY

    run(tmp_path, scenario)


def test_a_record_read_before_a_pass_began_is_not_stored_after(tmp_path: Path) -> None:
    """The same settling, begun before: C refuses it, for nobody may hold the record any more."""

    async def scenario(cluster: LocalCluster) -> None:
        handle = await cluster.store._containers.read(ACCOUNT, "plain")
        rounds = Rounds(cluster, handle.range_id("objects"))
        a, _, c = rounds.replicas
        old = await cluster.store.blobs.write(cluster.cluster.policies[0], bytes(16), BODY)
        await rounds.accept(a, 1, record_of(old), basis=0, stamp=old.stamp)
        seen = [await rounds.prepare(target, 5) for target in (a, c)]
        await sweep(cluster)
        late = await rounds.accept(
            c, 5, record_of(old), basis=seen[0].generation, stamp=wire.NOTHING_NEW
        )
        assert late.status == wire.REFUSED

    run(tmp_path, scenario)
