"""fsck finds what is broken on purpose, and nothing else; it changes nothing, and rebuilds an index exactly."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli.fsck import offline
from cli.fsck.checker import Checker
from cli.fsck.command import fsck
from cli.fsck.findings import KINDS, Report
from core.installation import Installation
from core.real import RealEnv
from objectd import rows, wire
from objectd.device import Device
from objectd.main import open_device
from objectd.placement import Placement
from objectd.server import ObjectServer
from proxy.store.cluster import Cluster
from proxy.store.record import ObjectName
from proxy.store.verbs import ClusterStore
from ring.store import RingStore
from tests.local_cluster import LocalCluster
from tests.unit.cli.test_install import made
from tests.unit.proxy_repair.test_repair import draft, pieces, repair

ACCOUNT = "AUTH_fsck"
BODY = bytes(range(251)) * 400
SMALL = b"a small body"


async def fill(store: ClusterStore) -> None:
    for container, policy in (("plain", "replicated-3"), ("coded", "erasure-2-1")):
        await store.create_container(ACCOUNT, container, policy=policy, change={})
        for number in range(4):
            for name, body in ((f"large{number}", BODY), (f"small{number}", SMALL)):
                await store.put_object(ObjectName(ACCOUNT, container, name), pieces(body), draft)
        await store.delete_object(ObjectName(ACCOUNT, container, "large3"))


async def check(cluster: LocalCluster, *, deep: bool = False) -> Report:
    tell = lambda what, done, total: None  # noqa: E731
    return await Checker(cluster.cluster, tell, deep=deep, again_s=0.02).run()


def on_cluster(root: Path, scenario: Callable[[LocalCluster], Awaitable[None]]) -> None:
    async def body() -> None:
        async with LocalCluster(root) as cluster:
            await fill(cluster.store)
            cluster.store.reaper._queue.clear()
            await repair(cluster)
            await scenario(cluster)

    asyncio.run(body())


async def range_of(cluster: LocalCluster, container: str) -> bytes:
    return (await cluster.store._containers.read(ACCOUNT, container)).range_id("objects")


async def extent_of(cluster: LocalCluster, container: str, name: str):
    found = await cluster.store.get_object(ObjectName(ACCOUNT, container, name))
    return found.record.manifest[0]


def device(cluster: LocalCluster, number: int) -> Device:
    return cluster.servers[number].devices[number]


def test_a_whole_cluster_is_clean(tmp_path: Path) -> None:
    """Everything was looked at; nothing is found, however deep."""

    async def scenario(cluster: LocalCluster) -> None:
        for deep in (False, True):
            report = await check(cluster, deep=deep)
            assert report.clean, report.findings
            assert report.looked["devices"] == 4
            assert report.looked["records"] == 6
            assert report.looked["registers"] == 18
            assert (report.looked["bytes"] > len(BODY) * 3) == deep
            assert report.notes == ["2 blobs are not named yet, or wait for the next sweep"]

    on_cluster(tmp_path, scenario)


def test_a_device_that_is_away_leaves_blobs_incomplete(tmp_path: Path) -> None:
    """It is told, and what lacks because of it; nothing is lost."""

    async def scenario(cluster: LocalCluster) -> None:
        await cluster.stop(1)
        report = await check(cluster)
        assert report.counts["away"] == 1
        assert report.counts["incomplete"] > 0
        assert report.counts["lost"] == 0

    on_cluster(tmp_path, scenario)


@pytest.mark.parametrize("container", ["plain", "coded"])
def test_missing_pieces_are_told_apart_from_lost_blobs(tmp_path: Path, container: str) -> None:
    """With each piece that goes: whole, incomplete, at last lost; the others are as before."""

    async def scenario(cluster: LocalCluster) -> None:
        extent = await extent_of(cluster, container, "large0")
        policy = cluster.cluster.policies[extent.policy]
        kinds = []
        for target in cluster.cluster.blob_targets(extent.blob, policy):
            head = wire.encode(wire.DropBlobs([extent.blob]))
            await target.link.ask(wire.DROP_BLOBS, target.device, head)
            report = await check(cluster)
            kinds.append(dict(report.counts))
            assert "large0" in report.findings[0].text
        whole = [{"incomplete": 1}] * 2 + [{"lost": 1}]
        if container == "coded":  # two of three fragments are needed
            whole[1] = {"lost": 1}
        assert kinds == whole

    on_cluster(tmp_path, scenario)


def test_registers_that_replicas_lack_or_a_minority_holds(tmp_path: Path) -> None:
    """One replica forgets a name: it is behind. Two forget: the name is on a minority."""

    async def scenario(cluster: LocalCluster) -> None:
        range_id = await range_of(cluster, "plain")
        targets = cluster.cluster.index_replicas(range_id).targets
        kinds = []
        for target in targets[:2]:
            one = device(cluster, target.device)
            row = one.register(range_id, b"small0")
            assert row is not None
            done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
            one.reclaim.write_forget(range_id, [(b"small0", row.ballot)], done.set_result)
            assert await done is None
            report = await check(cluster)
            kinds.append(dict(report.counts))
            assert "'small0'" in report.findings[0].text
        assert kinds == [{"behind": 1}, {"minority": 1}]

    on_cluster(tmp_path, scenario)


def test_counts_that_are_wrong_and_bytes_that_are_bad(tmp_path: Path) -> None:
    """Statistics of a range, a partition table, a rotten piece."""

    async def scenario(cluster: LocalCluster) -> None:
        range_id = await range_of(cluster, "plain")
        target = cluster.cluster.index_replicas(range_id).targets[0]
        one = device(cluster, target.device)
        stats = one.stats(range_id)
        one.put_stats(range_id, stats._replace(live_count=stats.live_count + 1))
        assert (await check(cluster)).counts == {"count": 1}
        one.put_stats(range_id, stats)
        key, value = next(one.index.scan(rows.PIECE_TALLY_TABLE, b"Q"))
        one.index.put(key, rows.pack_tally(rows.unpack_tally(value)._replace(size=1)))
        assert (await check(cluster)).counts == {"count": 1}
        one.index.put(key, value)
        assert (await check(cluster)).clean
        key, value = next(one.index.scan(rows.BLOB_TABLE, b"C"))
        place = rows.unpack_blob(value).place
        path = cluster.root / f"d{target.device}" / f"log/{place.segment:08d}.seg"
        with path.open("r+b") as file:
            file.seek(place.offset + place.length - 5)
            file.write(b"bad")
        assert (await check(cluster)).clean
        assert (await check(cluster, deep=True)).counts["bad"] == 1

    on_cluster(tmp_path, scenario)


def test_orphans_are_findings_once_the_sweep_should_have_had_them(tmp_path: Path) -> None:
    """Younger ones are only noted."""

    async def scenario(cluster: LocalCluster) -> None:
        policy = cluster.cluster.policies[0]
        await cluster.store.blobs.write(policy, bytes(16), BODY)
        assert (await check(cluster)).clean
        for generation in (1, 2):
            for target in cluster.cluster.targets:
                head = wire.encode(wire.SweepCall(generation))
                await target.link.ask(wire.BEGIN_SWEEP, target.device, head)
        assert (await check(cluster)).clean  # the second pass has not ended
        for target in cluster.cluster.targets:
            head = wire.encode(wire.SweepCall(2))
            await target.link.ask(wire.END_SWEEP, target.device, head)
        assert (await check(cluster)).counts == {"orphan": 3}

    on_cluster(tmp_path, scenario)


# -- offline -------------------------------------------------------------------------------------


def stored(data: Path, *, clean: bool = True) -> Installation:
    """A cloud that was in use and is down."""
    installation = made(data, "4")

    async def use() -> None:
        epoch = RingStore(installation.ring).current()
        assert epoch is not None
        env, key = RealEnv(), installation.secrets().cluster_key
        devices = {}
        for one in epoch.devices:
            identity = offline.DeviceIdentity(
                one.id,
                one.name,
                installation.config().installation,
                epoch.settings.part_power,
                epoch.settings.seed,
            )
            path = installation.data / one.path
            known = installation.known / f"device-{one.id}"
            devices[one.id] = await open_device(env, path, identity, known)
        server = ObjectServer(env, key, devices, Placement(epoch, lambda _: None))
        address = f"unix:{data}/test.sock"
        await server.frames.listen(address)
        cluster = Cluster(env, epoch, key, address_of=lambda _: address)
        cluster.start()
        assert await cluster.wait_up(5)
        await fill(ClusterStore(cluster))
        await asyncio.sleep(0.2)  # the third replicas
        cluster.close()
        await server.close(clean=clean)

    asyncio.run(use())
    return installation


def told(data: Path, *options: str) -> tuple[int, dict]:
    result = CliRunner().invoke(fsck, ["--data", str(data), "--json", *options])
    return result.exit_code, json.loads(result.stdout)


def snapshot(data: Path) -> dict[str, bytes]:
    files = (path for path in data.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if path.name != "lock"}


@pytest.mark.parametrize("clean", [True, False])
def test_a_cloud_that_is_down_is_checked_and_not_changed(tmp_path: Path, *, clean: bool) -> None:
    """Whether it was stopped or killed; not a byte differs afterwards."""
    stored(tmp_path / "cloud", clean=clean)
    before = snapshot(tmp_path)
    for options in ((), ("--deep",)):
        code, report = told(tmp_path / "cloud", *options)
        assert (code, report["findings"]) == (0, [])
        assert report["looked"]["registers"] == 18
    assert snapshot(tmp_path) == before


def test_damage_of_a_log_and_of_counts_is_found_offline(tmp_path: Path) -> None:
    """A flipped bit in a register, one in a blob."""
    data = tmp_path / "cloud"
    stored(data)
    logs = sorted(data.glob("devices/*/log/00000001.seg"))
    for needle, kind, options in (
        (SMALL, "bad", ()),
        (BODY[:40], "bad", ("--deep",)),
    ):
        path = next(one for one in logs if needle in one.read_bytes())
        whole = path.read_bytes()
        at = whole.rindex(needle) + 3
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        code, report = told(data, *options)
        assert code == 1
        assert kind in report["counts"]
        path.write_bytes(whole)
        assert told(data, *options)[0] == 0


def test_an_index_is_rebuilt_and_equals_the_old_one(tmp_path: Path) -> None:
    """With and without one to compare; the cloud is clean afterwards, and a differing one is kept."""
    data = tmp_path / "cloud"
    installation = stored(data)
    for number in range(4):
        code, report = told(data, "--rebuild", f"d{number}")
        assert (code, report["findings"]) == (0, [])
        assert "records" in report["notes"][-1]
    shutil.rmtree(data / "devices" / "d1" / "index")
    assert told(data, "--rebuild", "1")[0] == 0
    assert told(data)[0] == 0
    epoch = offline.ring_of(installation)
    report_of = Report()
    with offline.Offline(installation, epoch, report_of) as devices:
        devices.open_all()
        assert report_of.clean
        index = devices.devices[1].index
        key, _ = next(index.scan(rows.REGISTER_TABLE, b"S"))
        index.delete(key)
        index.commit()
        index.close(clean=True)
        shutil.rmtree(data / "devices" / "d1" / "index")
        shutil.copytree(devices.scratch / "d1", data / "devices" / "d1" / "index")
        devices.devices.pop(1).log.close()
    assert told(data)[0] == 1
    code, report = told(data, "--rebuild", "d1")
    assert code == 1
    assert "only in the new index" in report["findings"][0]["text"]
    assert (data / "devices" / "d1" / "index.old").is_dir()
    assert told(data)[0] == 0


def test_a_device_in_use_is_left_alone(tmp_path: Path) -> None:
    """Neither looked at nor rebuilt."""
    data = tmp_path / "cloud"
    stored(data)
    with offline.locked(data / "devices" / "d2"):
        code, report = told(data)
        assert code == 1
        assert report["counts"]["away"] >= 1
        result = CliRunner().invoke(fsck, ["--data", str(data), "--rebuild", "d2"])
        assert result.exit_code == 1
    assert told(data)[0] == 0


def test_every_kind_of_finding_is_explained() -> None:
    """In one line each."""
    assert all(text and "\n" not in text for text in KINDS.values())
