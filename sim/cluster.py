"""A simulated cluster: the real objectd and store code, wired to simulated disks and network."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from core.stamp import ZERO
from objectd import rows
from objectd.acceptor import Acceptor
from objectd.device import Device, DeviceIdentity
from objectd.memindex import MemoryIndex
from objectd.placement import Placement
from objectd.scrub import Scrub
from objectd.server import ObjectServer
from proxy.rebalance.conductor import Conductor, Progress, conduct
from proxy.repair.agent import Done, one_pass
from proxy.repair.pace import Pace
from proxy.store.cluster import Cluster
from proxy.store.registers import Registers
from proxy.store.verbs import ClusterStore
from proxy.sweep.orphans import Orphans, Swept
from proxy.sweep.tombstones import Reclaimed, Tombstones
from ring.build import build, next_epoch
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
CAPACITY_BYTES = 1 << 30
COMMIT_S = 0.3
SCRUB_S = 0.7
SCRUB_BYTES_S = 1e9
REPAIR_S = 1.0
SWEEP_S = 0.7
SWEEP_OLDER_US = 300_000
CONDUCT_S = 0.7
SLICE_BLOBS = 12  # so that a pass takes several
POLICIES = (
    Policy(0, "replicated-3", "replicated", replicas=3, is_default=True),
    Policy(1, "erasure-2-1", "erasure", data=2, parity=1, codec="zfec"),
)


def ring_device(number: int) -> RingDevice:
    """The device of a node."""
    name = f"o{number}"
    return RingDevice(number, name, 1, 1, name, f"tcp:{name}:{PORT}", f"/{name}", 1.0)


def make_draft(count: int) -> Draft:
    """A ring of `count` devices, one to a node."""
    devices = tuple(ring_device(number) for number in range(count))
    return Draft(Settings(PART_POWER, SEED), POLICIES, devices)


class BrokenAcceptor(Acceptor):
    """A mutant: accepts below what it has promised."""

    def accept_refusal(self, key: bytes, ballot: bytes, held: bytes) -> bytes | None:
        """Look only at what is held."""
        del key
        return held if ballot < held else None


class IgnorantDevice(Device):
    """A mutant: the digest of a range depends on its names only."""

    @staticmethod
    def register_digest(name: bytes, ballot: bytes, *, damaged: bool = False) -> bytes:
        """Leave the ballot out."""
        del ballot
        return rows.register_digest(name, ZERO, damaged=damaged)


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
        self.lost = False  # everything, and not replaced yet
        self.disk: SimDisk | None = None
        self.server: ObjectServer | None = None
        self.scrub: Scrub | None = None

    @property
    def up(self) -> bool:
        """A process runs."""
        return self.server is not None

    def start(self) -> None:
        """Recover and serve. A device that has lost everything waits until the ring does not count on it."""
        if self.lost and any(one.id == self.number for one in self._cluster.newest.devices):
            return
        self.lost = False
        self._cluster.loop.run_as(self.name, self._start)

    def _start(self) -> None:
        self.disk = SimDisk(self.platter)
        identity = DeviceIdentity(self.number, self.name, "sim", PART_POWER, SEED)
        ignorant = "digest-ignores-versions" in self._cluster.broken
        kind = IgnorantDevice if ignorant else Device
        device = kind(self.env, self.disk, self.index, identity)
        if "accept-below-promise" in self._cluster.broken:
            broken = BrokenAcceptor(device.acceptor.floor_us)
            device.acceptor = broken
        placement = Placement(self.epoch, self._keep)
        self.server = ObjectServer(self.env, KEY, {self.number: device}, placement)
        asyncio.ensure_future(self.server.frames.listen(f"tcp:{self.name}:{PORT}"))  # noqa: RUF006
        asyncio.ensure_future(self._commit_often(device))  # noqa: RUF006
        self.scrub = Scrub(device, rate_bytes_s=SCRUB_BYTES_S)
        if self._cluster.faults.rot_every_s:
            asyncio.ensure_future(self._scrub_often(self.scrub))  # noqa: RUF006

    def _keep(self, epoch: Epoch) -> None:
        self.epoch = epoch

    @staticmethod
    async def _commit_often(device: Device) -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            if device.uncommitted:
                device.commit_index()

    @staticmethod
    async def _scrub_often(scrub: Scrub) -> None:
        while True:
            await asyncio.sleep(SCRUB_S)
            await scrub.round()

    async def scrubbed(self) -> None:
        """A round of the scrub, in this node's own process."""
        scrub = self.scrub
        assert scrub is not None
        loop = self._cluster.loop
        round_: asyncio.Task[int] = loop.run_as(self.name, lambda: loop.create_task(scrub.round()))
        await round_

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

    def wipe(self) -> None:
        """End the process and lose what it had kept."""
        if self.up:
            self.kill(power_loss=True)
        self.platter.wipe()
        self.index = MemoryIndex()
        self.lost = True

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

    @property
    def epoch(self) -> Epoch:
        """The ring that this proxy uses."""
        assert self._links is not None
        return self._links.epoch

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
            if self._cluster.sweeping and self.name == "p0":
                await self.sweep()

    async def reclaim(self, older_than_us: int) -> Reclaimed:
        """One pass over the tombstones."""
        assert self._links is not None
        broken = frozenset(self._cluster.broken)
        sweep = Tombstones(self._links, Pace(), older_than_us=older_than_us, broken=broken)
        return await sweep.one_pass()

    async def sweep(self) -> Swept:
        """One pass of the orphan sweep."""
        assert self._links is not None
        broken = frozenset(self._cluster.broken)
        return await Orphans(self._links, Pace(), slice_blobs=SLICE_BLOBS, broken=broken).one_pass()

    def kill(self) -> None:
        """End at once; what its clients were doing has no answer."""
        self._cluster.net.cut_node(self.name)
        self._cluster.loop.cancel_node(self.name)
        self.store = None


class KeeperNode:
    """The node that keeps the ring and leads its changes; epochs and goal outlive its processes."""

    def __init__(self, cluster: SimCluster) -> None:
        self._cluster = cluster
        self.name = "k0"
        self.goal: Draft | None = None
        self.epoch = cluster.epoch
        self.paused = False
        self.turning_back = False
        self.progress: Progress | None = None
        self._skew_us = cluster.draw_skew_us()
        self.up = False

    @property
    def active(self) -> bool:
        """There is a goal."""
        return self.goal is not None

    @property
    def wanted(self) -> set[int] | None:
        """Ids of the devices of the goal."""
        return None if self.goal is None else {device.id for device in self.goal.devices}

    def newest(self) -> Epoch:
        """The newest epoch on disk."""
        return self.epoch

    def publish(self, epoch: Epoch) -> None:
        """Keep it."""
        self.epoch = epoch

    async def next_epoch(self) -> Epoch | None:
        """The next one on the way to the goal, which is then forgotten."""
        assert self.goal is not None
        following = next_epoch(self.goal, self.epoch)
        if following is None:
            self.goal = None
        return following

    def start(self) -> None:
        """Connect and conduct."""
        self._cluster.loop.run_as(self.name, self._start)

    def _start(self) -> None:
        self.up = True
        env = SimEnv(self._cluster.loop, self._cluster.fork_rng(), self._skew_us)
        broken = self._cluster.broken
        links = Cluster(env, self.epoch, KEY, broken=broken)
        links.start()
        registers = Registers(links, broken=broken)
        conductor = Conductor(links, registers, self, Pace(), broken=broken)
        every_s = CONDUCT_S * (0.1 + env.random())
        asyncio.ensure_future(conduct(conductor, every_s, self._saw))  # noqa: RUF006

    def _saw(self, progress: Progress) -> None:
        self.progress = progress

    def kill(self) -> None:
        """End at once; the disk stays."""
        self.up = False
        self._cluster.net.cut_node(self.name)
        self._cluster.loop.cancel_node(self.name)


class SimCluster:
    """Nodes, proxies and the network between them, all from one seed."""

    def __init__(  # noqa: PLR0913
        self,
        loop: SimLoop,
        seed: int,
        faults: Faults,
        *,
        nodes: int = 4,
        spares: int = 0,
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
        self.draft = make_draft(nodes)
        self.epoch = build(self.draft, None).epoch
        self.nodes = [ObjectNode(self, number) for number in range(nodes + spares)]
        self.proxies = [ProxyNode(self, number) for number in range(proxies)]
        self.keeper = KeeperNode(self) if spares else None

    def fork_rng(self) -> random.Random:
        """A generator of its own for one part, so that parts do not disturb each other's draws."""
        return random.Random(self._rng.getrandbits(64))

    @property
    def newest(self) -> Epoch:
        """The newest ring that was published."""
        return self.epoch if self.keeper is None else self.keeper.epoch

    def draw_skew_us(self) -> int:
        """Clock error of a node."""
        return int((self._rng.random() * 2 - 1) * self.faults.skew_s * 1e6)

    def start(self) -> None:
        """Start every node and proxy."""
        for node in self.nodes:
            node.start()
        for proxy in self.proxies:
            proxy.start()
        if self.keeper is not None:
            self.keeper.start()

    def calm(self) -> None:
        """Stop all faults: heal the network, restart what is down."""
        self.sweeping = False
        self.faults = Faults(latency_s=self.faults.latency_s, disk_s=self.faults.disk_s)
        self.net.faults = self.faults
        for node in self.nodes:
            node.platter.faults = self.faults
        self.net.heal()
        for node in self.nodes:
            node.platter.capacity_bytes = CAPACITY_BYTES
            if not node.up:
                node.start()
        for proxy in self.proxies:
            if proxy.store is None:
                proxy.start()
        if self.keeper is not None and not self.keeper.up:
            self.keeper.start()

    def on(self, node: str, work: Callable[[], object]) -> object:
        """Run a function as part of a node."""
        return self.loop.run_as(node, work)
