"""A closed loop: each connection sends its next request when the last is answered.

A run ends after `seconds` or when there is nothing left to do; requests under way then are finished
and counted, and the time is taken to the last of them. Only answers that pass their check count as
operations; every other one is counted by its reason.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

from bench.connection import Answer, Failed

Action = Callable[[int], Awaitable[Answer]]
Check = Callable[[int, Answer], str | None]

FAILURES_IN_A_ROW_MAX = 50


class Tally:
    """Latencies (seconds) of good answers, and why the others were bad."""

    def __init__(self) -> None:
        self.latencies = array("d")
        self.errors: Counter[str] = Counter()
        self.seconds = 0.0
        self.done: list[int] = []  # what succeeded, by its number

    @property
    def rate(self) -> float:
        """Good operations per second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def add(self, other: Tally) -> None:
        """Join another round of the same case."""
        self.latencies.extend(other.latencies)
        self.errors.update(other.errors)
        self.seconds += other.seconds
        self.done += other.done


async def run(
    action: Action, check: Check, numbers: Iterator[int], *, connections: int, seconds: float
) -> Tally:
    """Do `action` with each of `numbers` until `seconds` are over."""
    tally = Tally()
    started = time.perf_counter()
    workers = [
        _work(action, check, numbers, tally, deadline=started + seconds) for _ in range(connections)
    ]
    await asyncio.gather(*workers)
    tally.seconds = time.perf_counter() - started
    return tally


async def _work(
    action: Action, check: Check, numbers: Iterator[int], tally: Tally, *, deadline: float
) -> None:
    clock = time.perf_counter
    failures = 0
    for number in numbers:
        began = clock()
        try:
            answer = await action(number)
        except Failed as error:
            tally.errors[error.code] += 1
            failures += 1
            ended = clock()
        else:
            ended = clock()
            problem = check(number, answer)
            if problem is None:
                failures = 0
                tally.latencies.append(ended - began)
                tally.done.append(number)
            else:
                failures += 1
                tally.errors[problem] += 1
        if ended >= deadline or failures >= FAILURES_IN_A_ROW_MAX:
            return
