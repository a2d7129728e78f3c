"""The repair loop: the tables of all devices are compared again and again, and what differs is put right.

An agent works for the devices of its own node. Damage that a device reports is healed within a second, whether
a reader or the scrub has met it; the rest waits for the next pass.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from core.errors import RingstackError
from objectd import wire
from proxy.repair.blobs import BlobRepair
from proxy.repair.pace import Pace
from proxy.repair.peers import ask
from proxy.repair.plan import Table, moving_pieces, piece_work, range_work
from proxy.repair.registers import RegisterRepair
from proxy.repair.tables import fetch_all
from proxy.store.cluster import Cluster, Target
from proxy.store.verbs import ClusterStore
from ring.epoch import Epoch

log = logging.getLogger("ringstack.repair")

EVERY_S = 20.0
BUSY_EVERY_S = 1.0  # after a pass that found work
HEAL_EVERY_S = 0.5
HEAL_MAX = 100  # of each kind, from one device at a time
WATCH_EVERY_S = 0.5
FEEL_EVERY_S = 0.05
PARTITIONS_AT_ONCE = 8  # of index ranges, of one device


class Done(NamedTuple):
    """What one pass put right. `complete`: every device answered.

    `put_off`: pieces that could not be restored, because a device did not answer or too few others exist (as of
    a stripe whose writer died).
    """

    registers: int
    blobs: int
    handoffs: int
    complete: bool
    put_off: int = 0


class Healed(NamedTuple):
    """Damaged records that were replaced, and those that could not be."""

    replaced: int
    put_off: int


async def one_pass(
    cluster: Cluster,
    store: ClusterStore,
    pace: Pace,
    local: AbstractSet[int] | None = None,
    *,
    moving: bool = True,
) -> Done:
    """Compare the tables of all devices once, and put right what the `local` ones (all without it) lack.

    Without `moving`, partitions that the last change of the ring moves are left where they are.
    """
    epoch = cluster.epoch
    tables = await fetch_all(cluster.targets)
    if cluster.epoch is not epoch:
        return Done(0, 0, 0, complete=False)  # the tables are of two rings
    complete = len(tables) == len(cluster.targets)
    mine = [one for one in cluster.targets if local is None or one.device in local]
    mine = [one for one in mine if one.device in tables]
    registers = RegisterRepair(cluster, store.registers, pace)
    pieces = BlobRepair(cluster, store.blobs, pace)
    peers = {target.device: target for target in cluster.targets}
    for device in mine:
        work = list(range_work(epoch, tables, device.device).items())
        for start in range(0, len(work), PARTITIONS_AT_ONCE):
            pulling = [
                _pull(registers, device, [peers[one] for one in differing], partition)
                for partition, differing in work[start : start + PARTITIONS_AT_ONCE]
            ]
            complete &= all(await asyncio.gather(*pulling))
    await _forget_strays(epoch, tables, mine)
    fills, gives = piece_work(epoch, tables, [one.device for one in mine])
    if not moving:
        moved = moving_pieces(epoch)
        fills = [one for one in fills if (one.policy, one.partition) not in moved]
        gives = [one for one in gives if (one.policy, one.partition) not in moved]
    await pieces.fill(fills)
    complete &= await pieces.give(gives)
    return Done(registers.copied, pieces.restored, pieces.taken_home, complete, pieces.put_off)


async def _forget_strays(epoch: Epoch, tables: Mapping[int, Table], mine: Sequence[Target]) -> None:
    """Let devices forget ranges that have left them; each makes sure for itself that they have."""
    for device in mine:
        for partition, row in tables[device.device].ranges.items():
            members = {one.id for members in epoch.index_sets(partition) for one in members}
            if not row.registers or device.device in members:
                continue
            head = wire.encode(wire.ForgetRanges(partition, epoch.number))
            try:
                await ask(device.link, wire.FORGET_RANGES, device.device, head)
            except RingstackError as error:
                log.debug("strays of device %d: %s", device.device, error.message)
                break


async def _pull(
    repair: RegisterRepair, device: Target, peers: Sequence[Target], partition: int
) -> bool:
    """Bring a device up to what peers hold of a partition; False when one of them stopped answering."""
    complete = True
    for peer in peers:
        try:
            await repair.from_peer(device, peer, partition)
        except RingstackError as error:
            log.debug("repair of device %d: %s", device.device, error.message)
            complete = False
    return complete


async def heal(
    cluster: Cluster, store: ClusterStore, pace: Pace, local: AbstractSet[int] | None = None
) -> Healed:
    """Replace what the local devices have found bad."""
    registers = RegisterRepair(cluster, store.registers, pace)
    pieces = BlobRepair(cluster, store.blobs, pace)
    head = wire.encode(wire.DamagesCall(HEAL_MAX))
    for device in cluster.targets:
        if local is not None and device.device not in local:
            continue
        try:
            body = await ask(device.link, wire.DAMAGES, device.device, head)
            damages = wire.decode_damages(body)
            await pieces.heal(device, damages.pieces)
            for lost in damages.registers:
                await registers.relearn(device, lost)
        except RingstackError as error:
            log.debug("healing of device %d: %s", device.device, error.message)
    return Healed(pieces.restored + registers.copied, pieces.put_off)


class Agent:
    """The repair of one node's devices, for the life of a process. `pace` may be throttled meanwhile.

    Any number may run: the work is idempotent.
    """

    def __init__(self, cluster: Cluster, store: ClusterStore, node: str) -> None:
        self._cluster = cluster
        self._store = store
        self._node = node
        self.pace = Pace()
        self.moving = True  # False: a rebalance is paused
        self.last = Done(0, 0, 0, complete=False)
        self._wanted = asyncio.Event()

    def hurry(self) -> None:
        """Begin the next pass now."""
        self._wanted.set()

    def _local(self) -> set[int]:
        devices = self._cluster.epoch.devices
        return {device.id for device in devices if device.node == self._node}

    async def run(self) -> None:
        """Passes over everything, and damage at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watch())
            group.create_task(self._feel())
            group.create_task(self._heal_often())
            group.create_task(self._pass_often())

    async def _pass_often(self) -> None:
        while True:
            await self._rest()
            done = await one_pass(
                self._cluster, self._store, self.pace, self._local(), moving=self.moving
            )
            self.last = done
            if done.registers or done.blobs or done.handoffs:
                log.info(
                    "repaired %d registers and %d blobs, took %d hand-offs home",
                    done.registers,
                    done.blobs,
                    done.handoffs,
                )

    async def _rest(self) -> None:
        """Wait for the next pass: not long when the last one found work, or the ring has changed."""
        busy = self.last.registers or self.last.blobs or self.last.handoffs
        rest_s = (BUSY_EVERY_S if busy else EVERY_S) * (0.75 + 0.5 * self._cluster.env.random())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await self._wanted.wait()
        self._wanted.clear()

    async def _heal_often(self) -> None:
        every_s = HEAL_EVERY_S
        while True:
            await asyncio.sleep(every_s)
            healed = await heal(self._cluster, self._store, self.pace, self._local())
            if healed.replaced:
                log.info("replaced %d damaged records", healed.replaced)
            stuck = healed.put_off and not healed.replaced  # copies are away: they may come back
            every_s = min(2 * every_s, EVERY_S) if stuck else HEAL_EVERY_S

    async def _feel(self) -> None:
        """Learn how scarce processors are."""
        loop = asyncio.get_running_loop()
        while True:
            wanted_s = loop.time() + FEEL_EVERY_S
            await asyncio.sleep(FEEL_EVERY_S)
            now_s = loop.time()
            self.pace.felt(now_s - wanted_s, now_s)

    async def watch(self) -> None:
        """Learn how busy the devices are with clients."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            local = self._local()
            for target in self._cluster.targets:
                if target.device not in local or not target.link.up:
                    continue
                try:
                    body = await ask(target.link, wire.STATUS, target.device, b"")
                except RingstackError:
                    continue
                for status in wire.decode_status(body):
                    self.pace.saw(status.device, status.client_calls, loop.time())
