"""A whole cluster of several nodes on one machine, for fault tests: real daemons, real partitions.

Every node is a network namespace with its own data directory, supervisor and addresses (`sim.live_node`).
The first nodes are set up without daemons, as `up` and `node join` would; those that come later join over
the network with the product's own command.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cli import guests
from cli.install import CODEC, install
from cli.node import repair_now, store_welcome
from core import keyring
from core.errors import Refused, Unavailable
from core.real import RealEnv
from core.roster import Member
from core.trust import Trust
from noded import authority, keeper, token, wire
from proxy.repair.plan import piece_work, range_work
from proxy.repair.tables import fetch_all
from proxy.store.cluster import Cluster
from ring.draft import Draft
from ring.policy import Policy
from ring.settings import Settings
from ring.store import RingStore
from sim.live_network import Network
from sim.live_node import API_PORT, OBJECT_PORT, LiveNode

PART_POWER = 8
LINK_S = 5.0


class Health(msgspec.Struct, frozen=True):
    """How far the cluster is from being fully replicated."""

    silent: int  # devices that do not answer
    lacking: int  # (partition, device) pairs that may lack pieces
    misplaced: int  # (partition, device) pairs that hold what belongs elsewhere
    differing: int  # (partition, device) pairs whose registers differ from a peer's

    @property
    def whole(self) -> bool:
        """Everything is where it belongs, in full."""
        return not self.lacking and self.orphans_only

    @property
    def orphans_only(self) -> bool:
        """What is lacking, if anything, may be stripes that nobody finished."""
        return not (self.silent or self.misplaced or self.differing)


class LiveCluster:
    """Nodes by number; node 0 is the keeper."""

    def __init__(self, root: Path, *, nodes: int, zones: int, devices: int = 2) -> None:
        if nodes < 3:
            raise Refused("TooFewNodes", "a fault test needs three nodes at least")
        self.root = root
        self.zones = zones
        self.device_count = devices
        self.network = Network()
        self.nodes: list[LiveNode] = []
        self.first_count = nodes
        self._gone: list[LiveNode] = []

    # -- setting up ----------------------------------------------------------------------------

    def start(self) -> None:
        """Make and start every node. Raises Refused where namespaces cannot be made."""
        self.network.start()
        try:
            for _ in range(self.first_count):
                self._add_node()
            self._install()
            self.start_nodes(self.nodes)
        except BaseException:
            self.stop()
            raise

    def _add_node(self) -> LiveNode:
        number = self.network.add_node()
        node = LiveNode(self.network, number, number % self.zones + 1, self.root / f"n{number}")
        self.nodes.append(node)
        return node

    def start_nodes(self, nodes: list[LiveNode]) -> None:
        """Start several at the same time."""
        for node in nodes:
            node.begin_start()
        for node in nodes:
            node.finish_start()

    def stop(self) -> None:
        """End everything; the data stays."""
        self.network.stop()
        self.nodes.clear()

    def _install(self) -> None:
        """Data directories of all first nodes, with one ring over all their devices."""
        first = self.nodes[0]
        install(
            first.installation,
            devices=(str(self.device_count),),
            listen=first.address,
            object_port=OBJECT_PORT,
            api_port=API_PORT,
            proxy_count=1,
            node=first.name,
            zone=first.zone,
            cluster_listen=first.cluster_listen,
            objectd_count=1,
            without=(guests.COMPUTE,),
        )
        keyring.create(first.installation.keys, RealEnv())  # as its first start would
        for node in self.nodes[1:]:
            self._admit(node)
        store = RingStore(first.installation.ring)
        draft = self._draft(store.draft())
        from ring.build import build

        epoch = build(draft, None).epoch
        store.write_draft(draft)
        for node in self.nodes:
            for path in node.installation.ring.glob("*.epoch"):
                path.unlink()
            RingStore(node.installation.ring).write(epoch)

    def _admit(self, node: LiveNode) -> None:
        """What `node join` does, without a network."""
        first = self.nodes[0].installation
        now_us = RealEnv().wall_us()
        installation = node.installation
        ticket = keeper.make_token(first, now_us)
        application = wire.Application(
            token.decode_token(ticket)[1],
            Member(node.name, f"tls:{node.cluster_listen}", node.zone, 1),
            authority.make_key(installation.identity),
            tuple(str(installation.devices / f"d{n}") for n in range(self.device_count)),
            1,
            False,
        )
        welcome = keeper.admit(first, application, now_us)
        config = msgspec.structs.replace(
            first.config(),
            listen=node.address,
            node=node.name,
            zone=node.zone,
            cluster_listen=node.cluster_listen,
        )
        pem = keeper.authority_pem(first.identity)
        store_welcome(installation, config, pem, welcome)

    def _draft(self, staged: Draft) -> Draft:
        """Three replicas, and erasure coding as wide as zones and nodes allow."""
        policies = [
            Policy(0, "replicated-3", "replicated", replicas=3, is_default=True),
            Policy(1, "erasure-2-1", "erasure", data=2, parity=1, codec=CODEC),
        ]
        if len(self.nodes) >= 6:
            policies.append(Policy(2, "erasure-4-2", "erasure", data=4, parity=2, codec=CODEC))
        settings = Settings(PART_POWER, secrets.randbits(64), 3)
        return dataclasses.replace(staged, settings=settings, policies=tuple(policies))

    def join_node(self) -> LiveNode:
        """One more machine joins, with the product's own command."""
        node = self._add_node()
        ticket = self.nodes[0].json("node", "token")
        node.command(
            "node",
            "join",
            ticket["address"],
            *("--token", ticket["token"], "--name", node.name, "--zone", str(node.zone)),
            *("--cluster-listen", node.cluster_listen, "--listen", node.address),
            *("--devices", str(self.device_count), "--objectd-count", "1"),
            *("--object-port", str(OBJECT_PORT), "--api-port", str(API_PORT), "--proxies", "1"),
        )
        return node

    def retire(self, node: LiveNode) -> None:
        """A node that was put out: it is stopped and not started again."""
        self.nodes.remove(node)
        self._gone.append(node)
        node.kill()

    # -- faults --------------------------------------------------------------------------------

    def heal(self) -> None:
        """End every fault: network, clocks, disks, pauses; start what is down."""
        self.network.heal()
        for node in self.nodes:
            self.network.plug(node.number)
            node.cure()
            node.resume()
        self.start_nodes([node for node in self.nodes if not node.up])

    @contextlib.contextmanager
    def any_partition(self, rng: random.Random) -> Iterator[None]:
        """A partition of the nodes into two sides, both ways or one, for as long as this lasts."""
        sides = rng.sample(range(len(self.nodes)), len(self.nodes))
        cut = rng.randint(1, len(sides) - 1)
        if rng.random() < 0.5:
            self.network.split(sides[:cut], sides[cut:])
        else:
            self.network.block((a, b) for a in sides[:cut] for b in sides[cut:])
        try:
            yield
        finally:
            self.network.heal()

    def zone(self, number: int) -> list[LiveNode]:
        """The nodes of a zone, numbered from 1."""
        return [node for node in self.nodes if node.zone == number]

    # -- looking -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def links(self) -> Iterator[Cluster]:
        """Links to every device of the newest ring, as the keeper. Call within an event loop."""
        first = self.nodes[0].installation
        epoch = RingStore(first.ring).current()
        assert epoch is not None
        cluster = Cluster(
            RealEnv(), epoch, first.secrets().cluster_key, trust=Trust(first.identity)
        )
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.close()

    async def health(self) -> Health:
        """Compare the tables of all devices, as repair does."""
        with self.links() as cluster:
            await cluster.wait_up(LINK_S)
            tables = await fetch_all(cluster.targets)
            devices = [device.id for device in cluster.epoch.devices]
            fills, gives = piece_work(cluster.epoch, tables, devices)
            differing = sum(len(range_work(cluster.epoch, tables, device)) for device in tables)
            return Health(len(devices) - len(tables), len(fills), len(gives), differing)

    async def repair_now(self) -> None:
        """Have every node begin a pass of repair."""
        first = self.nodes[0].installation
        await repair_now(first, keeper.roster_of(first))

    async def wait_serving(self, timeout_s: float = 60.0) -> None:
        """Until every device answers. Raises Unavailable."""
        deadline = time.monotonic() + timeout_s
        while (found := await self.health()).silent:
            if time.monotonic() > deadline:
                raise Unavailable("NotServing", f"{found.silent} devices do not answer")
            await asyncio.sleep(0.2)
