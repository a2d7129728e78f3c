"""How fast a lost device is filled again, and how fast equal devices are compared.

`python -m bench.repair [--directory DIR] [--mib N] [--registers N]`: five storage processes on unix sockets, one
of which loses everything; the agent of its node fills it, beside the disk's own sequential rate measured in the
same run, and once more beside clients, whose latency is compared with what it was before. Then two devices
with equal registers are compared through their tables.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from bench.ceilings import sequential_write
from core.limits import MIB
from core.real import RealDisk, RealEnv
from objectd import wire
from objectd.device import Device, DeviceIdentity
from objectd.lmdbindex import LmdbIndex
from objectd.placement import Placement
from objectd.server import ObjectServer
from proxy.repair.agent import Agent, one_pass
from proxy.repair.pace import Pace
from proxy.repair.plan import piece_work, range_work
from proxy.repair.tables import fetch_all
from proxy.store.cluster import Cluster
from proxy.store.verbs import ClusterStore
from ring.build import build
from ring.device import Device as RingDevice
from ring.draft import Draft
from ring.epoch import Epoch
from ring.policy import Policy
from ring.settings import Settings

KEY = b"k" * 32
NODES = 5
PART_POWER = 10
SEED = 7
POLICIES = (
    Policy(0, "replicated-3", "replicated", replicas=3, is_default=True),
    Policy(1, "erasure-3-2", "erasure", data=3, parity=2, codec="isa_l_rs_cauchy"),
)
STRIPE = 4 * MIB
IN_FLIGHT = 4
CLIENT_CALLS_S = 60.0
CLIENT_S = 8.0
RANGES = 1000  # index ranges the registers are spread over


def make_epoch(root: Path) -> Epoch:
    """One device to a node."""
    devices = tuple(
        RingDevice(n, f"d{n}", 1, 1, f"n{n}", f"unix:{root}/o{n}.sock", f"/d{n}", 1.0)
        for n in range(NODES)
    )
    return build(Draft(Settings(PART_POWER, SEED), POLICIES, devices), None).epoch


def open_device(root: Path, number: int) -> Device:
    """A device below `root`."""
    path = root / f"d{number}"
    path.mkdir(exist_ok=True)
    identity = DeviceIdentity(number, f"d{number}", "bench", PART_POWER, SEED)
    return Device(RealEnv(), RealDisk(path), LmdbIndex(path / "index"), identity)


async def serve(root: Path, number: int) -> None:
    """One storage process."""
    placement = Placement(make_epoch(root), lambda _: None)
    server = ObjectServer(RealEnv(), KEY, {number: open_device(root, number)}, placement)
    await server.frames.listen(f"unix:{root}/o{number}.sock")
    while True:
        await asyncio.sleep(1)
        server.devices[number].commit_index()


class Storage:
    """The storage processes."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    def start(self, number: int) -> None:
        """Start one."""
        command = [sys.executable, "-m", "bench.repair", "--serve", str(number)]
        self._running[number] = subprocess.Popen([*command, "--directory", str(self._root)])

    def kill(self, number: int) -> None:
        """End one at once."""
        running = self._running.pop(number)
        running.kill()
        running.wait()

    def close(self) -> None:
        """End all."""
        for number in list(self._running):
            self.kill(number)


async def rebuild(root: Path, policy: Policy, mib: int) -> dict[str, float]:
    """Fill the cloud with stripes of one policy, lose device 0, fill it again."""
    storage = Storage(root)
    cluster = Cluster(RealEnv(), make_epoch(root), KEY)
    try:
        await load(root, storage, cluster, policy, mib)
        await lose(root, storage, cluster)
        store = ClusterStore(cluster)
        began = time.perf_counter()
        done = await one_pass(cluster, store, Pace(1e15), {0})
        seconds = time.perf_counter() - began
        assert done.complete
        assert not done.put_off
        target = cluster.targets[0]
        frame = await target.link.ask(wire.STATUS, 0, b"")
        [status] = wire.decode_status(frame.body)
        return {
            "pieces": done.blobs,
            "mib": status.live_bytes / MIB,
            "seconds": seconds,
            "mib_s": status.live_bytes / MIB / seconds,
        }
    finally:
        clear(root, storage, cluster)


async def load(root: Path, storage: Storage, cluster: Cluster, policy: Policy, mib: int) -> None:
    """Start everything and store so much under a policy."""
    del root
    for number in range(NODES):
        storage.start(number)
    cluster.start()
    assert await cluster.wait_up(20)
    blobs = ClusterStore(cluster).blobs
    slots = asyncio.Semaphore(IN_FLIGHT)

    async def put() -> None:
        async with slots:
            await blobs.write(policy, bytes(16), os.urandom(STRIPE))

    await asyncio.gather(*(put() for _ in range(mib * MIB // STRIPE)))
    await asyncio.sleep(1.5)


async def lose(root: Path, storage: Storage, cluster: Cluster) -> None:
    """Device 0 comes back empty."""
    storage.kill(0)
    shutil.rmtree(root / "d0")
    storage.start(0)
    await asyncio.sleep(1)  # the loss of the link is noticed
    assert await cluster.wait_up(20)


def clear(root: Path, storage: Storage, cluster: Cluster) -> None:
    """End everything."""
    cluster.close()
    storage.close()
    for number in range(NODES):
        shutil.rmtree(root / f"d{number}", ignore_errors=True)


async def client(root: Path, seconds: float) -> None:
    """Clients that write and read 64 KiB, at a steady rate; prints their latencies."""
    cluster = Cluster(RealEnv(), make_epoch(root), KEY)
    cluster.start()
    assert await cluster.wait_up(20)
    store = ClusterStore(cluster)
    taken: list[float] = []
    data = os.urandom(64 * 1024)

    async def call() -> None:
        began = time.perf_counter()
        written = await store.blobs.write(POLICIES[0], bytes(16), data)
        await store.blobs.read(written.extent, 0, len(data))
        taken.append(time.perf_counter() - began)

    end = time.perf_counter() + seconds
    calls = set()
    while time.perf_counter() < end:
        calls.add(asyncio.get_running_loop().create_task(call()))
        await asyncio.sleep(1 / CLIENT_CALLS_S)
    await asyncio.gather(*calls)
    taken.sort()
    p50, p99 = taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    print(json.dumps({"calls": len(taken), "p50_ms": p50 * 1e3, "p99_ms": p99 * 1e3}))
    cluster.close()


async def run_client(root: Path, seconds: float) -> dict[str, float]:
    """Clients in a process of their own."""
    command = [sys.executable, "-m", "bench.repair", "--client", str(seconds)]
    running = await asyncio.create_subprocess_exec(
        *command, "--directory", str(root), stdout=subprocess.PIPE
    )
    output, _ = await running.communicate()
    found: dict[str, float] = json.loads(output)
    return found


async def beside_clients(root: Path, mib: int) -> dict[str, object]:
    """Clients alone, and beside the repair of a lost device that gives way to them."""
    storage = Storage(root)
    cluster = Cluster(RealEnv(), make_epoch(root), KEY, background=True)
    try:
        await load(root, storage, cluster, POLICIES[0], mib)
        quiet = await run_client(root, CLIENT_S)
        await lose(root, storage, cluster)
        store = ClusterStore(cluster)
        agent = Agent(cluster, store, "n0")
        watching = asyncio.create_task(agent.watch())
        running = asyncio.create_task(run_client(root, CLIENT_S))
        await asyncio.sleep(1.5)
        began = time.perf_counter()
        repairing = asyncio.create_task(one_pass(cluster, store, agent.pace, {0}))
        busy = await running
        copied = agent.pace.spent_bytes / MIB
        seconds = time.perf_counter() - began
        await repairing
        watching.cancel()
        return {"alone": quiet, "beside_repair": busy, "repair_mib_s": copied / seconds}
    finally:
        clear(root, storage, cluster)


async def compare(root: Path, count: int) -> dict[str, float]:
    """Two devices with the same registers: seconds until they are known to be equal."""
    epoch = make_epoch(root)
    servers = []
    loading_s = time.perf_counter()
    for number in range(NODES):
        device = open_device(root, number)
        if number < 2:
            fill(device, count)
        server = ObjectServer(RealEnv(), KEY, {number: device}, Placement(epoch, lambda _: None))
        await server.frames.listen(f"unix:{root}/o{number}.sock")
        servers.append(server)
    loading_s = time.perf_counter() - loading_s
    cluster = Cluster(RealEnv(), epoch, KEY)
    cluster.start()
    assert await cluster.wait_up(20)
    pair = cluster.targets[:2]
    began = time.perf_counter()
    tables = await fetch_all(pair)
    differing = range_work(epoch, tables, 0)
    piece_work(epoch, tables, [0])
    seconds = time.perf_counter() - began
    assert not differing
    cluster.close()
    for server in servers:
        await server.close(clean=False)
    return {"registers": count, "loading_seconds": loading_s, "seconds": seconds}


def fill(device: Device, count: int) -> None:
    """Registers straight into the index, as the log would bring them."""
    from objectd import record as records
    from objectd.log import Scanned
    from objectd.record import Place, RecordHeader, RegisterHead

    body = b"summary" + bytes(100)
    head = RegisterHead(bytes(16), wire.LIVE, 100, 0, wire.digest_of(body), 7, 100)
    for number in range(count):
        range_id = wire.digest_of((number % RANGES).to_bytes(4, "big"))
        name = b"object-%09d" % number
        encoded = records.encode_head(head)
        header = RecordHeader(records.REGISTER, 16 + len(name), len(encoded), len(body), 0, b"")
        place = Place(1, number * 300, 300)
        device.apply(Scanned(place, header, range_id + name, encoded), body)
    device.commit_index()


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(prog="bench.repair")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--registers", type=int, default=1_000_000)
    parser.add_argument("--serve", type=int)
    parser.add_argument("--client", type=float)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        uvloop.run(serve(arguments.directory, arguments.serve))
        return
    if arguments.client is not None:
        uvloop.run(client(arguments.directory, arguments.client))
        return
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        root = Path(directory)
        report: dict[str, object] = {"disk_mib_s": sequential_write(root / "raw")}
        (root / "raw").unlink(missing_ok=True)
        for policy in POLICIES:
            report[policy.name] = uvloop.run(rebuild(root, policy, arguments.mib))
        report["clients"] = uvloop.run(beside_clients(root, arguments.mib))
        report["compare"] = uvloop.run(compare(root, arguments.registers))
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
