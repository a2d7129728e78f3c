"""A simulated cluster: the real objectd and store code, wired to simulated disks and network."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from objectd.acceptor import Acceptor
from objectd.device import Device, DeviceIdentity
from objectd.memindex import MemoryIndex
from objectd.placement import Placement
from objectd.server import ObjectServer
from proxy.repair.agent import Done, one_pass
from proxy.repair.pace import Pace
from proxy.store.cluster import Cluster
from proxy.store.verbs import ClusterStore
from proxy.sweep.tombstones import Reclaimed, Tombstones
from ring.build import build
from ring.device import Device as RingDevice
from ring.draft import Draft
from ring.epoch import Epoch
from ring.policy import Policy
from ring.settings import Settings
from sim.disk import Platter, SimDisk
from sim.env import SimEnv
from sim.faults import Faults
from sim.loop import SimLoop
from sim.net import Net

KEY = b"simulated installation key......"
PORT = 7000
PART_POWER = 4
SEED = 11
COMMIT_S = 0.3
REPAIR_S = 1.0
SWEEP_S = 0.7
SWEEP_OLDER_US = 300_000
POLICIES = (
    Policy(0, "replicated-3", "replicated", replicas=3, is_default=True),
    Policy(1, "erasure-2-1", "erasure", data=2, parity=1, codec="zfec"),
)


def make_epoch(count: int) -> Epoch:
    """A ring of `count` devices, one to a node."""
    devices = tuple(
        RingDevice(n, f"o{n}", 1, 1, f"o{n}", f"tcp:o{n}:{PORT}", f"/o{n}", 1.0)
        for n in range(count)
    )
    return build(Draft(Settings(PART_POWER, SEED), POLICIES, devices), None).epoch


class BrokenAcceptor(Acceptor):
    """A mutant: accepts below what it has promised."""

    def accept_refusal(self, key: bytes, ballot: bytes, held: bytes) -> bytes | None:
        """Look only at what is held."""
        del key
        return held if ballot < held else None


class ObjectNode:
    """One storage node: its platter outlives its processes."""

    def __init__(self, cluster: SimCluster, number: int) -> None:
        self._cluster = cluster
        self.number = number
        self.name = f"o{number}"
        self.platter = Platter(cluster.fork_rng(), cluster.faults)
        self.platter.skip_sync = "skip-sync" in cluster.broken
        self.index = MemoryIndex()
        self.env = SimEnv(cluster.loop, cluster.fork_rng(), cluster.draw_skew_us())
        self.epoch = cluster.epoch  # what is kept durably beside the platter
        self.disk: SimDisk | None = None
        self.server: ObjectServer | None = None

    @property
    def up(self) -> bool:
        """A process runs."""
        return self.server is not None

    def start(self) -> None:
        """Recover and serve."""
        self._cluster.loop.run_as(self.name, self._start)

    def _start(self) -> None:
        self.disk = SimDisk(self.platter)
        identity = DeviceIdentity(self.number, self.name, "sim", PART_POWER, SEED)
        device = Device(self.env, self.disk, self.index, identity)
        if "accept-below-promise" in self._cluster.broken:
            broken = BrokenAcceptor(device.acceptor.floor_us)
            device.acceptor = broken
        placement = Placement(self.epoch, self._keep)
        self.server = ObjectServer(self.env, KEY, {self.number: device}, placement)
        asyncio.ensure_future(self.server.frames.listen(f"tcp:{self.name}:{PORT}"))  # noqa: RUF006
        asyncio.ensure_future(self._commit_often(device))  # noqa: RUF006

    def _keep(self, epoch: Epoch) -> None:
        self.epoch = epoch

    @staticmethod
    async def _commit_often(device: Device) -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            if device.uncommitted:
                device.commit_index()

    def kill(self, *, power_loss: bool) -> None:
        """End the process at once; with a power loss also everything that was not synced."""
        loop = self._cluster.loop
        assert self.disk is not None
        self.disk.dead = True
        self._cluster.net.cut_node(self.name)
        loop.cancel_node(self.name)
        self.server = None
        if power_loss:
            self.platter.crash()
            self.index = MemoryIndex()  # not synced, so not trusted: rebuilt from the log
        else:
            self.index = self.index.crash()

    def device(self) -> Device:
        """The device of the running process."""
        assert self.server is not None
        return self.server.devices[self.number]


class ProxyNode:
    """One proxy: a store client with a clock of its own."""

    def __init__(self, cluster: SimCluster, number: int) -> None:
        self._cluster = cluster
        self.name = f"p{number}"
        self._skew_us = cluster.draw_skew_us()
        self.store: ClusterStore | None = None
        self._links: Cluster | None = None

    def start(self) -> None:
        """Connect."""
        self._cluster.loop.run_as(self.name, self._start)

    def _start(self) -> None:
        env = SimEnv(self._cluster.loop, self._cluster.fork_rng(), self._skew_us)
        broken = frozenset(self._cluster.broken)
        self._links = Cluster(env, self._cluster.epoch, KEY, broken=broken)
        self._links.start()
        self.store = ClusterStore(self._links, reap_delay_s=5.0, broken=broken)
        if self._cluster.repairing:
            asyncio.ensure_future(self._repair_often())  # noqa: RUF006
            asyncio.ensure_future(self._sweep_often())  # noqa: RUF006

    async def _repair_often(self) -> None:
        while True:
            await asyncio.sleep(REPAIR_S)
            await self.repair()

    async def repair(self) -> Done:
        """One pass of the repair agent."""
        assert self._links is not None
        assert self.store is not None
        return await one_pass(self._links, self.store, Pace())

    async def _sweep_often(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            if self._cluster.sweeping:
                await self.reclaim(SWEEP_OLDER_US)

    async def reclaim(self, older_than_us: int) -> Reclaimed:
        """One pass over the tombstones."""
        assert self._links is not None
        broken = frozenset(self._cluster.broken)
        sweep = Tombstones(self._links, Pace(), older_than_us=older_than_us, broken=broken)
        return await sweep.one_pass()

    def kill(self) -> None:
        """End at once; what its clients were doing has no answer."""
        self._cluster.net.cut_node(self.name)
        self._cluster.loop.cancel_node(self.name)
        self.store = None


class SimCluster:
    """Nodes, proxies and the network between them, all from one seed."""

    def __init__(
        self,
        loop: SimLoop,
        seed: int,
        faults: Faults,
        *,
        nodes: int = 4,
        proxies: int = 2,
        broken: frozenset[str] = frozenset(),
        repairing: bool = True,
    ) -> None:
        self.loop = loop
        self.repairing = repairing
        self.sweeping = repairing
        self.faults = faults
        self.broken = broken
        self._rng = random.Random(seed)
        self.net = Net(loop, self.fork_rng(), faults)
        self.epoch = make_epoch(nodes)
        self.nodes = [ObjectNode(self, number) for number in range(nodes)]
        self.proxies = [ProxyNode(self, number) for number in range(proxies)]

    def fork_rng(self) -> random.Random:
        """A generator of its own for one part, so that parts do not disturb each other's draws."""
        return random.Random(self._rng.getrandbits(64))

    def draw_skew_us(self) -> int:
        """Clock error of a node."""
        return int((self._rng.random() * 2 - 1) * self.faults.skew_s * 1e6)

    def start(self) -> None:
        """Start every node and proxy."""
        for node in self.nodes:
            node.start()
        for proxy in self.proxies:
            proxy.start()

    def calm(self) -> None:
        """Stop all faults: heal the network, restart what is down."""
        self.sweeping = False
        self.faults = Faults(latency_s=self.faults.latency_s, disk_s=self.faults.disk_s)
        self.net.faults = self.faults
        for node in self.nodes:
            node.platter.faults = self.faults
        self.net.heal()
        for node in self.nodes:
            if not node.up:
                node.start()
        for proxy in self.proxies:
            if proxy.store is None:
                proxy.start()

    def on(self, node: str, work: Callable[[], object]) -> object:
        """Run a function as part of a node."""
        return self.loop.run_as(node, work)
