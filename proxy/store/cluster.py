"""Which devices a key lives on, and the links to them.

Two links go to each objectd: one for registers and listings, one for blobs, so that a small call never
queues behind megabytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import NamedTuple

from core.env import Env
from core.link import Link
from core.stamp import HybridClock
from ring.device import Device
from ring.epoch import Epoch
from ring.policy import Policy


class Target(NamedTuple):
    """A device and the links to its node."""

    device: int
    link: Link
    bulk: Link


def ring_address(device: Device) -> str:
    """Where the ring says that a device's objectd listens."""
    return device.address


class Cluster:
    """The ring epoch in force and a pair of links for each address.

    `address_of` may know a shorter way to a device than the ring does: the unix socket of an objectd
    on the same machine.
    """

    def __init__(
        self,
        env: Env,
        epoch: Epoch,
        key: bytes,
        *,
        address_of: Callable[[Device], str] = ring_address,
    ) -> None:
        self.env = env
        self.epoch = epoch
        self.clock = HybridClock(env.wall_us, int.from_bytes(env.random_bytes(4), "big"))
        self._key = key
        self._address_of = address_of
        self._links: dict[str, tuple[Link, Link]] = {}
        self._targets: dict[int, Target] = {}
        self._index_cache: dict[bytes, tuple[Target, ...]] = {}
        self.policies: dict[int, Policy] = {policy.id: policy for policy in epoch.policies}
        for device in epoch.devices:
            self._add(device)

    def _add(self, device: Device) -> None:
        address = self._address_of(device)
        links = self._links.get(address)
        if links is None:
            links = (
                Link(self.env, address, self._key),
                Link(self.env, address, self._key),
            )
            for link in links:
                link.epoch = self.epoch.number & 0xFFFFFFFF
            self._links[address] = links
        self._targets[device.id] = Target(device.id, *links)

    def start(self) -> None:
        """Begin connecting to every node."""
        for pair in self._links.values():
            for link in pair:
                link.start()

    async def wait_up(self, timeout_s: float) -> bool:
        """Wait until every node is connected; False when some were not in time."""
        results = await asyncio.gather(
            *(link.wait_up(timeout_s) for pair in self._links.values() for link in pair)
        )
        return all(results)

    def close(self) -> None:
        """Close all links."""
        for pair in self._links.values():
            for link in pair:
                link.close()

    @property
    def targets(self) -> list[Target]:
        """Every device of the ring."""
        return list(self._targets.values())

    def index_targets(self, range_id: bytes) -> tuple[Target, ...]:
        """The devices that hold a range, in replica order."""
        found = self._index_cache.get(range_id)
        if found is None:
            partition = self.epoch.partition(range_id)
            devices = self.epoch.primaries(partition, self.epoch.index_replicas)
            found = tuple(self._targets[device.id] for device in devices)
            if len(self._index_cache) > 100_000:
                self._index_cache.clear()
            self._index_cache[range_id] = found
        return found

    def blob_targets(self, blob: bytes, policy: Policy) -> tuple[Target, ...]:
        """The primaries of a blob, in replica or fragment order."""
        devices = self.epoch.primaries(self.epoch.partition(blob), policy.width)
        return tuple(self._targets[device.id] for device in devices)

    def blob_handoffs(self, blob: bytes, policy: Policy) -> Iterator[Target]:
        """Where to go when a primary cannot take or give a blob, nearest substitute first."""
        for device in self.epoch.handoffs(self.epoch.partition(blob), policy.width):
            yield self._targets[device.id]
