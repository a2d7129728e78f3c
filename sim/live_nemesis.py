"""Faults against real processes: kill -9 and SIGSTOP of daemons, and partitions, from a seed.

The supervisor is left alone: it is the part that brings a killed daemon back, as it would in production.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

KILL = "kill"
PAUSE = "pause"
PARTITION = "partition"
KINDS = (KILL, PAUSE, PARTITION)
EVERY_S = 1.5
PAUSE_S = 2.5
PARTITION_S = 6.0

Pids = Callable[[], dict[str, int]]
Partition = Callable[[random.Random], AbstractContextManager[None]]


class LiveNemesis:
    """Does one of the wanted things to a random daemon, again and again."""

    def __init__(
        self, pids: Pids, kinds: Sequence[str], seed: int, partition: Partition | None = None
    ) -> None:
        self._pids = pids
        self._partition = partition
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
            if kind == PARTITION and self._partition is not None:
                self.done[kind] += 1
                with self._partition(self._random):
                    await asyncio.sleep(PARTITION_S * self._random.random())
                continue
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
