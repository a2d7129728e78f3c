"""Which devices a key lives on, and the links to them.

Two links go to each address: one for registers and listings, one for blobs, so that a small call never
queues behind megabytes.

The ring in force is the newest that this process has heard of. Every answer carries the sender's epoch
number: who is older is told the newer ring, whoever that is, so that a change spreads by itself.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

from core.env import Env
from core.errors import Corrupt
from core.link import Link
from core.stamp import HybridClock
from core.trust import Trust
from objectd import wire
from proxy.store.majority import Majority, plain
from ring.device import Device
from ring.epoch import Epoch
from ring.file import decode_epoch, encode_epoch
from ring.policy import Policy

log = logging.getLogger("ringstack.cluster")

CACHED_MAX = 100_000
EXCHANGE_TIMEOUT_S = 3.0
LEARN_TIMEOUT_S = 2.0


class Target(NamedTuple):
    """A device and the links to its node."""

    device: int
    link: Link
    bulk: Link


class Replicas(NamedTuple):
    """Who holds a range, which of them are enough, and the config part of ballots for it."""

    targets: tuple[Target, ...]
    majority: Majority
    config: int


def ring_address(device: Device) -> str:
    """Where the ring says that a device's objectd listens."""
    return device.address


class Cluster:
    """The ring epoch in force and a pair of links for each address.

    `address_of` may know a shorter way to a device than the ring does: the unix socket of an objectd
    on the same machine. `background`: no client waits for what is done through this one. `broken` names
    rules left out on purpose, as in `proxy.store.registers`.
    """

    def __init__(
        self,
        env: Env,
        epoch: Epoch,
        key: bytes,
        *,
        address_of: Callable[[Device], str] = ring_address,
        trust: Trust | None = None,
        background: bool = False,
        broken: frozenset[str] = frozenset(),
    ) -> None:
        self.env = env
        self.epoch = epoch
        self.clock = HybridClock(env.wall_us, int.from_bytes(env.random_bytes(4), "big"))
        self.generation = 0  # the highest of any device that we have heard of
        self.on_epoch: Callable[[Epoch], None] | None = None
        self.policies: dict[int, Policy] = {}
        self._key = key
        self._address_of = address_of
        self._trust = trust
        self.background = background
        self._broken = broken
        self._started = False
        self._links: dict[str, tuple[Link, Link]] = {}
        self._targets: dict[int, Target] = {}
        self._replicas: dict[bytes, Replicas] = {}
        self._exchanging: dict[str, asyncio.Task[None]] = {}
        self._learned = asyncio.Event()
        self._use(epoch)

    # -- the ring ------------------------------------------------------------------------------

    def install(self, epoch: Epoch) -> bool:
        """Use a newer ring from now on; False when it is not newer."""
        if epoch.number <= self.epoch.number:
            return False
        log.info("ring epoch %d is in force", epoch.number)
        self._use(epoch)
        self._learned.set()
        self._learned = asyncio.Event()
        if self.on_epoch is not None:
            self.on_epoch(epoch)
        return True

    def _use(self, epoch: Epoch) -> None:
        self.epoch = epoch
        self.policies = {policy.id: policy for policy in epoch.policies}
        self._replicas.clear()
        self._targets = {device.id: self._target(device) for device in epoch.devices}
        for address in self._links.keys() - {self._address_of(one) for one in epoch.devices}:
            for link in self._links.pop(address):
                link.close()
        for pair in self._links.values():
            for link in pair:
                link.epoch = epoch.number
                if self._started:
                    link.start()

    def _target(self, device: Device) -> Target:
        address = self._address_of(device)
        pair = self._links.get(address)
        if pair is None:
            pair = (
                Link(self.env, address, self._key, trust=self._trust),
                Link(self.env, address, self._key, trust=self._trust),
            )
            for link in pair:
                link.on_other_epoch = self._exchange
                link.background = self.background
            self._links[address] = pair
        return Target(device.id, *pair)

    def _exchange(self, link: Link, number: int) -> None:
        """A peer has another ring: tell it ours, or ask for its own. One exchange at a time each."""
        if not number or link.address in self._exchanging:
            return
        task = asyncio.get_running_loop().create_task(self._exchange_with(link, number))
        self._exchanging[link.address] = task
        task.add_done_callback(lambda _: self._exchanging.pop(link.address, None))

    async def _exchange_with(self, link: Link, number: int) -> None:
        try:
            async with asyncio.timeout(EXCHANGE_TIMEOUT_S):
                if number < self.epoch.number:
                    await link.ask(wire.TELL_RING, 0, b"", encode_epoch(self.epoch))
                    return
                call = wire.encode(wire.RingCall(self.epoch.number))
                frame = await link.ask(wire.RING, 0, call)
            if frame.status == wire.OK and len(frame.body):
                self.install(decode_epoch(bytes(frame.body), link.address))
        except TimeoutError:
            log.warning("%s does not exchange its ring", link.address)
        except Corrupt as error:
            log.error("%s has a ring that cannot be read: %s", link.address, error.message)

    async def learn(self, number: int) -> None:
        """Wait until epoch `number` is in force here, for a while."""
        deadline = asyncio.get_running_loop().time() + LEARN_TIMEOUT_S
        while self.epoch.number < number:
            left_s = deadline - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(left_s):
                    await self._learned.wait()
            except TimeoutError:
                return

    def heard(self, generation: int) -> None:
        """A device has told its generation: others are told with the next call."""
        self.generation = max(self.generation, generation)

    # -- links ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin connecting to every node."""
        self._started = True
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
        for task in self._exchanging.values():
            task.cancel()
        for pair in self._links.values():
            for link in pair:
                link.close()

    # -- placement -----------------------------------------------------------------------------

    @property
    def targets(self) -> list[Target]:
        """Every device of the ring."""
        return list(self._targets.values())

    def index_replicas(self, range_id: bytes) -> Replicas:
        """The devices that hold a range, in replica order, and what is a majority of them."""
        found = self._replicas.get(range_id)
        if found is None:
            found = self._place(range_id)
            if len(self._replicas) > CACHED_MAX:
                self._replicas.clear()
            self._replicas[range_id] = found
        return found

    def _place(self, range_id: bytes) -> Replicas:
        partition = self.epoch.partition(range_id)
        sets = self.epoch.index_sets(partition)
        if "no-joint-majority" in self._broken:
            sets = sets[-1:]
        ids = list(dict.fromkeys(device.id for members in sets for device in members))
        if "hand-off-votes" in self._broken:
            return self._place_loosely(partition, ids)
        positions = tuple(tuple(ids.index(device.id) for device in members) for members in sets)
        return Replicas(
            tuple(self._targets[device_id] for device_id in ids),
            Majority(len(ids), positions),
            self.epoch.since[partition],
        )

    def _place_loosely(self, partition: int, ids: list[int]) -> Replicas:
        """A mutant: a hand-off counts as if it were one of the replicas."""
        others = self.epoch.handoffs(partition, self.epoch.index_replicas)
        ids += [one.id for one in itertools.islice(others, 1) if one.id not in ids]
        targets = tuple(self._targets[device_id] for device_id in ids)
        return Replicas(targets, plain(self.epoch.index_replicas), self.epoch.since[partition])

    def blob_targets(self, blob: bytes, policy: Policy) -> tuple[Target, ...]:
        """The primaries of a blob, in replica or fragment order."""
        devices = self.epoch.primaries(self.epoch.partition(blob), policy.width)
        return tuple([self._targets[device.id] for device in devices])

    def blob_handoffs(self, blob: bytes, policy: Policy) -> Iterator[Target]:
        """Where to go when a primary cannot take or give a blob: where it was before, then substitutes."""
        for device in self.epoch.handoffs(self.epoch.partition(blob), policy.width):
            yield self._targets[device.id]
