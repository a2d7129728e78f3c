"""Leads a cluster from one ring to the next, an epoch at a time, on the node that keeps the ring.

Every decision follows from the newest epoch and from what the devices say they hold, so the conductor may
die at any point and go on from there, and two of them would do the same. It publishes
- the stable epoch after a joint one, once every joiner has caught up;
- the next joint epoch on the way to the goal, once nothing is left where the last change took it from.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple, Protocol

from core.errors import RingstackError
from core.link import Link
from objectd import wire
from proxy.rebalance.catchup import CatchUp
from proxy.rebalance.measure import Movement, movement
from proxy.repair.pace import Pace
from proxy.repair.plan import Table
from proxy.repair.tables import fetch_all
from proxy.store.cluster import Cluster
from proxy.store.registers import Registers
from ring.epoch import Epoch
from ring.file import encode_epoch

log = logging.getLogger("ringstack.rebalance")

TELL_TIMEOUT_S = 3.0


class Keeper(Protocol):
    """Where the ring is kept: durable epochs, and the goal that the operator has applied."""

    def newest(self) -> Epoch:
        """The newest epoch that was published."""
        ...

    def publish(self, epoch: Epoch) -> None:
        """Keep an epoch durably; after that it is in force. Raises OSError, Conflict."""
        ...

    @property
    def active(self) -> bool:
        """There is a goal, and it has not been reached."""
        ...

    @property
    def paused(self) -> bool:
        """The operator wants nothing to move now."""
        ...

    @property
    def turning_back(self) -> bool:
        """The goal is where the change began: what has not moved yet need not."""
        ...

    @property
    def wanted(self) -> set[int] | None:
        """Ids of the devices that the goal gives data to; None without a goal."""
        ...

    def next_epoch(self) -> Awaitable[Epoch | None]:
        """The next (joint) epoch on the way to the goal, or None when the goal is reached."""
        ...


class Progress(NamedTuple):
    """What the conductor has just seen. `waiting`: partitions whose joiners have not caught up."""

    epoch: int
    joint: bool
    waiting: int
    movement: Movement
    silent: int
    idle: bool = False


IDLE = Movement(0, 0, 0, 0)


Changed = Callable[[Progress], None]


class Conductor:
    """One step at a time; `step` is called again and again."""

    def __init__(
        self,
        cluster: Cluster,
        registers: Registers,
        keeper: Keeper,
        pace: Pace,
        *,
        broken: frozenset[str] = frozenset(),
    ) -> None:
        self._cluster = cluster
        self._registers = registers
        self._keeper = keeper
        self._pace = pace
        self._broken = broken
        self._catching: CatchUp | None = None
        self._catching_for = 0

    async def step(self) -> Progress:
        """Do what can be done now. Raises RingstackError when the ring cannot be kept or read."""
        newest = self._keeper.newest()
        if newest.number > self._cluster.epoch.number:
            self._cluster.install(newest)
        epoch = self._cluster.epoch
        if epoch.number > newest.number:  # somebody has published what our disk has lost
            self._keeper.publish(epoch)
        await self._tell_everybody(epoch)
        if not epoch.joint and not self._keeper.active:
            return Progress(epoch.number, False, 0, IDLE, 0, idle=True)
        tables = await fetch_all(self._cluster.targets)
        if epoch.joint:
            return await self._join(epoch, tables)
        left = movement(epoch, tables)
        progress = self._progress(epoch, 0, left, tables)
        if (left.done or self._keeper.turning_back) and not self._keeper.paused:
            following = await self._keeper.next_epoch()
            if following is None:
                return progress._replace(idle=True)
            if not _holds_more(epoch, following, tables):
                self._publish(following)
        return progress

    async def _join(self, epoch: Epoch, tables: dict[int, Table]) -> Progress:
        if self._catching is None or self._catching_for != epoch.number:
            self._catching = CatchUp(
                self._cluster, self._registers, self._pace, broken=self._broken
            )
            self._catching_for = epoch.number
        if not self._keeper.paused:
            if not self._catching.waiting:
                self._catching = None
                self._publish(epoch.settled())
                return self._progress(epoch, 0, movement(epoch, tables), tables)
            await self._catching.run()
            if self._hopeless(epoch, tables):
                self._catching = None
                self._publish(epoch.reverted())
                return self._progress(epoch, 0, movement(epoch, tables), tables)
        waiting = len(self._catching.waiting)
        return self._progress(epoch, waiting, movement(epoch, tables), tables)

    def _hopeless(self, epoch: Epoch, tables: dict[int, Table]) -> bool:
        """A device that is to join does not answer, and the operator does not want it any more."""
        assert self._catching is not None
        wanted = self._keeper.wanted
        if wanted is None:
            return False
        width = epoch.index_replicas
        for partition in self._catching.waiting:
            source = epoch.source(partition, width)
            assert source is not None
            joiner = epoch.primaries(partition, width)[source.replica].id
            if joiner not in tables and joiner not in wanted:
                return True
        return False

    def _progress(
        self, epoch: Epoch, waiting: int, left: Movement, tables: dict[int, Table]
    ) -> Progress:
        silent = len(self._cluster.targets) - len(tables)
        return Progress(epoch.number, epoch.joint, waiting, left, silent)

    def _publish(self, epoch: Epoch) -> None:
        self._keeper.publish(epoch)
        self._cluster.install(epoch)
        kind = "joint" if epoch.joint else "stable"
        log.info("published %s epoch %d", kind, epoch.number)

    async def _tell_everybody(self, epoch: Epoch) -> None:
        """Let every node know, also those that nobody calls."""
        behind = {
            target.link.address: target.link
            for target in self._cluster.targets
            if target.link.up and target.link.peer_epoch != epoch.number
        }

        if not behind:
            return
        data = encode_epoch(epoch)

        async def tell(link: Link) -> None:
            try:
                async with asyncio.timeout(TELL_TIMEOUT_S):
                    await link.ask(wire.TELL_RING, 0, b"", data)
            except TimeoutError:
                return

        await asyncio.gather(*(tell(link) for link in behind.values()))


def _holds_more(epoch: Epoch, following: Epoch, tables: Mapping[int, Table]) -> bool:
    """A device that the next ring leaves out still holds something, as a stand-in perhaps."""
    left_out = {one.id for one in epoch.devices} - {one.id for one in following.devices}
    return any(
        tables[device].pieces or any(row.registers for row in tables[device].ranges.values())
        for device in left_out & tables.keys()
    )


async def conduct(conductor: Conductor, every_s: float, changed: Changed) -> None:
    """Step for ever; between changes there is little to do but look."""
    while True:
        try:
            changed(await conductor.step())
        except (RingstackError, OSError) as error:
            log.warning("the ring cannot go on now: %s", error)
        await asyncio.sleep(every_s)
