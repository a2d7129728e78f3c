"""`Env` of a simulated process: a wall clock with skew, seeded chance, inline work."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

from sim.loop import SimLoop

T = TypeVar("T")
EPOCH_US = 1_700_000_000_000_000


class SimEnv:
    """Clock and chance of one node. `skew_us` is added to the true time."""

    def __init__(self, loop: SimLoop, rng: random.Random, skew_us: int = 0) -> None:
        self._loop = loop
        self._rng = rng
        self.skew_us = skew_us

    def wall_us(self) -> int:
        """Virtual wall clock of this node."""
        return EPOCH_US + int(self._loop.now * 1e6) + self.skew_us

    def random_bytes(self, count: int) -> bytes:
        """Seeded bytes."""
        return self._rng.randbytes(count)

    def random(self) -> float:
        """Uniform in [0, 1)."""
        return self._rng.random()

    async def offload(self, function: Callable[[], T]) -> T:
        """Run inline, one turn later."""
        await asyncio.sleep(0)
        return function()

    def quirk(self, name: str) -> bool:
        """A legal but nasty choice, now and then."""
        del name
        return self._rng.random() < 0.05
