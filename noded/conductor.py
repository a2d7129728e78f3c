"""What the node daemon does about a change of the ring: on the keeper it leads it, everywhere it keeps to the throttle."""

from __future__ import annotations

import asyncio
import logging

from core.env import Env
from core.errors import Corrupt, RingstackError
from proxy.rebalance.conductor import Conductor, Progress
from proxy.repair.agent import Agent
from ring.epoch import Epoch
from ring.store import RingStore

log = logging.getLogger("ringstack.rebalance")

ACTIVE_EVERY_S = 0.5
IDLE_EVERY_S = 1.0


class RingFiles:
    """What the conductor keeps: the ring directory of this machine."""

    def __init__(self, env: Env, store: RingStore) -> None:
        self._env = env
        self._store = store
        self._newest: Epoch | None = None

    def newest(self) -> Epoch:
        """The newest epoch on disk. Raises Corrupt without one."""
        numbers = self._store.numbers()
        if self._newest is None or not numbers or numbers[-1] != self._newest.number:
            self._newest = self._store.current()
        if self._newest is None:
            raise Corrupt("NoRing", f"there is no valid ring in {self._store.directory}")
        return self._newest

    def publish(self, epoch: Epoch) -> None:
        """Keep an epoch durably. Raises OSError, Conflict."""
        self._store.keep(epoch)

    @property
    def active(self) -> bool:
        """The operator has applied a ring that has not been reached."""
        return self._store.goal() is not None

    @property
    def paused(self) -> bool:
        """Nothing may move now."""
        return self._store.throttle().paused

    @property
    def turning_back(self) -> bool:
        """The change was aborted."""
        goal = self._store.goal()
        return goal is not None and goal.back

    @property
    def wanted(self) -> set[int] | None:
        """Ids of the devices that the goal gives data to; None without a goal."""
        goal = self._store.goal()
        if goal is None:
            return None
        return {device.id for device in goal.draft.devices if device.weight > 0}

    async def next_epoch(self) -> Epoch | None:
        """The next epoch on the way; the goal ends with the last one."""
        goal = self._store.goal()
        if goal is None:
            return None
        newest = self.newest()

        def build() -> Epoch | None:
            from ring.build import next_epoch  # numpy, which only a change of the ring needs

            return next_epoch(goal.draft, newest)

        following = await self._env.offload(build)
        if following is None and self._store.goal() == goal:
            self._store.end_goal()
            log.info("the ring has reached its goal with epoch %d", newest.number)
        return following


async def conduct(conductor: Conductor) -> None:
    """Step for ever."""
    last: Progress | None = None
    while True:
        try:
            last = await conductor.step()
        except (RingstackError, OSError) as error:
            log.warning("the ring cannot go on now: %s", error)
        idle = last is None or last.idle
        await asyncio.sleep(IDLE_EVERY_S if idle else ACTIVE_EVERY_S)


async def follow_throttle(store: RingStore, agent: Agent) -> None:
    """Let data move as fast as the operator wants."""
    while True:
        try:
            throttle = store.throttle()
            agent.moving = not throttle.paused
            agent.pace.limit_bytes_s = float(throttle.rate_bytes_s) or None
        except RingstackError as error:
            log.warning("%s", error.message)
        await asyncio.sleep(IDLE_EVERY_S)
