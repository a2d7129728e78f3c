"""Faults against real processes: kill -9 and SIGSTOP of daemons, from a seed.

The supervisor is left alone: it is the part that brings a killed daemon back, as it would in production.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable, Sequence

KILL = "kill"
PAUSE = "pause"
KINDS = (KILL, PAUSE)
EVERY_S = 1.5
PAUSE_S = 2.5

Pids = Callable[[], dict[str, int]]


class LiveNemesis:
    """Does one of the wanted things to a random daemon, again and again."""

    def __init__(self, pids: Pids, kinds: Sequence[str], seed: int) -> None:
        self._pids = pids
        self._kinds = list(kinds)
        self._random = random.Random(seed)
        self.done: dict[str, int] = dict.fromkeys(kinds, 0)

    async def run(self) -> None:
        """Until cancelled; whatever is paused then goes on."""
        if not self._kinds:
            return
        while True:
            await asyncio.sleep(EVERY_S * (0.5 + self._random.random()))
            kind = self._random.choice(self._kinds)
            name, pid = self._random.choice(sorted(self._pids().items()))
            del name
            self.done[kind] += 1
            with contextlib.suppress(ProcessLookupError):
                if kind == KILL:
                    os.kill(pid, signal.SIGKILL)
                else:
                    await self._pause(pid)

    async def _pause(self, pid: int) -> None:
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(PAUSE_S * self._random.random())
        finally:
            os.kill(pid, signal.SIGCONT)
