"""Runs a coroutine in virtual time: hours of timers cost milliseconds, and nothing really sleeps."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from sim.env import SimEnv
from sim.faults import Faults, quiet
from sim.loop import SimLoop
from sim.net import Net

T = TypeVar("T")


class World:
    """A virtual loop with a network, chance from a seed, and environments for its nodes."""

    def __init__(self, loop: SimLoop, seed: int, faults: Faults) -> None:
        self.loop = loop
        self.faults = faults
        self.rng = random.Random(seed)
        self.net = Net(loop, random.Random(seed + 1), faults)

    def env(self) -> SimEnv:
        return SimEnv(self.loop, random.Random(self.rng.getrandbits(64)))


def run(
    work: Callable[[World], Coroutine[Any, Any, T]], *, seed: int = 1, faults: Faults | None = None
) -> T:
    """Result of `work(world)`. Raises what a callback raised meanwhile."""
    loop = SimLoop()
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(work(World(loop, seed, faults or quiet())))
        assert not loop.failures, loop.failures[0]
        return result
    finally:
        bury(loop)
        asyncio.set_event_loop(None)


def bury(loop: SimLoop) -> None:
    """Cancel what is left, so that nothing outlives its loop."""
    for tasks in list(loop.tasks_of.values()):
        for task in list(tasks):
            task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        loop.run_until_complete(asyncio.sleep(0))
    loop.close()
