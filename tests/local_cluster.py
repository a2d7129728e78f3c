"""A whole object cluster in one event loop, on real disks and unix sockets in a temporary directory."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from core.real import RealDisk, RealEnv
from objectd.device import Device, DeviceIdentity
from objectd.lmdbindex import LmdbIndex
from objectd.placement import Placement
from objectd.server import ObjectServer
from proxy.store.cluster import Cluster
from proxy.store.verbs import ClusterStore
from ring import build
from ring.device import Device as RingDevice
from ring.draft import Draft
from ring.epoch import Epoch
from ring.policy import Policy
from ring.settings import Settings

KEY = b"k" * 32
POLICIES = (
    Policy(0, "replicated-3", "replicated", replicas=3, is_default=True),
    Policy(1, "erasure-2-1", "erasure", data=2, parity=1, codec="isa_l_rs_cauchy"),
    Policy(2, "zfec-2-1", "erasure", data=2, parity=1, codec="zfec"),
)


def ring_of(addresses: list[str], policies: tuple[Policy, ...] = POLICIES) -> Epoch:
    devices = tuple(
        RingDevice(number, f"d{number}", 1, 1, f"n{number}", address, f"/d{number}", 1.0)
        for number, address in enumerate(addresses)
    )
    return build.build(Draft(Settings(6, 7), policies, devices), None).epoch


class LocalCluster:
    """Four devices, one server each; `kill` and `start` by number."""

    def __init__(self, root: Path, count: int = 4, policies: tuple[Policy, ...] = POLICIES) -> None:
        self.root = root
        self.env = RealEnv()
        self.addresses = [f"unix:{root}/o{number}.sock" for number in range(count)]
        self.epoch = ring_of(self.addresses, policies)
        self.servers: dict[int, ObjectServer] = {}
        self.cluster = Cluster(self.env, self.epoch, KEY)
        self.store = ClusterStore(self.cluster)

    async def __aenter__(self) -> Self:
        for number in range(len(self.addresses)):
            await self.start(number)
        self.cluster.start()
        assert await self.cluster.wait_up(5)
        return self

    async def start(self, number: int) -> None:
        path = self.root / f"d{number}"
        path.mkdir(exist_ok=True)
        identity = DeviceIdentity(number, f"d{number}", "test", 6, 7)
        device = Device(self.env, RealDisk(path), LmdbIndex(path / "index"), identity)
        placement = Placement(self.epoch, lambda _: None)
        server = ObjectServer(self.env, KEY, {number: device}, placement)
        await server.frames.listen(self.addresses[number])
        self.servers[number] = server

    async def stop(self, number: int) -> None:
        await self.servers.pop(number).close(clean=True)

    async def __aexit__(self, *exc: object) -> None:
        self.cluster.close()
        for number in list(self.servers):
            await self.stop(number)
