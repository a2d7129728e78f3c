"""`ringstack bench object`: both APIs of a cloud, beside a peer if wanted, case by case.

Each case runs in short rounds that alternate between the targets, so that whatever else the machine
does falls on all of them; every other round goes through them in the opposite order. Every round
begins with new connections. What was stored is removed at the end.
"""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import NamedTuple

from bench import load
from bench.connection import Answer
from bench.figure import (
    DELETE,
    GET,
    GET_STREAM,
    HEAD,
    KIB,
    LIST,
    LIST_CHANGED,
    LISTED_NAMES,
    MIB,
    PUT,
    PUT_STREAM,
    STREAM_BYTES,
    Case,
    Figure,
    size_text,
)
from bench.load import Tally
from bench.quantile import percentiles_ms
from bench.target import Target
from bench.work import ListingWork, SmallWork, StreamWork, Work

SIZES = {"4k": 4 * KIB, "64k": 64 * KIB, "1m": MIB}
CONNECTIONS = (1, 16)
LIST_CONNECTIONS = (1, 4)
OPERATIONS = ("put", "get", "head", "delete", "list", "stream")
BODY_COUNT = 16

Announce = Callable[[str], None]


class Plan(NamedTuple):
    """Length of a round (s), rounds of each case, which of OPERATIONS and of SIZES."""

    seconds: float = 1.0
    rounds: int = 2
    operations: tuple[str, ...] = OPERATIONS
    sizes: tuple[str, ...] = tuple(SIZES)


class _Sum:
    """The rounds of one case on one target."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.cpu_seconds = 0.0
        self.client_cpu_seconds = 0.0

    def figure(self, target: Target, case: Case) -> Figure:
        """What they come to."""
        p50_ms, p99_ms = percentiles_ms(self.tally.latencies)
        return Figure(
            target.name,
            case,
            len(self.tally.latencies),
            self.tally.seconds,
            p50_ms,
            p99_ms,
            self.cpu_seconds,
            self.client_cpu_seconds,
            dict(self.tally.errors),
        )


class ObjectBench:
    """Runs every case on every target."""

    def __init__(self, targets: Sequence[Target], plan: Plan, announce: Announce) -> None:
        self._targets = targets
        self._plan = plan
        self._announce = announce
        prefix = f"bench-{secrets.token_hex(4)}"
        self._containers = {
            target: f"{prefix}-{number}" for number, target in enumerate(self._targets)
        }
        self._bodies = {
            size: [random.Random(size + number).randbytes(size) for number in range(BODY_COUNT)]
            for size in SIZES.values()
        }

    async def run(self) -> list[Figure]:
        """Every figure, case by case. Raises Failed when a target cannot be used at all."""
        async with AsyncExitStack() as stack:
            for target in self._targets:
                await stack.enter_async_context(target.client)
            try:
                return await self._run()
            finally:
                await self._remove()

    async def _run(self) -> list[Figure]:
        for target, container in self._containers.items():
            (await target.client.make_container(container)).expect()
        figures: list[Figure] = []
        for size in map(SIZES.__getitem__, self._plan.sizes):
            for connections in CONNECTIONS:
                works = {target: self._small(target, size, connections) for target in self._targets}
                cases = [Case(name, size, connections) for name in self._small_operations()]
                figures += await self._cases(cases, works)
        wanted = self._plan.operations
        if "stream" in wanted:
            streams = {t: StreamWork(t, c, STREAM_BYTES) for t, c in self._containers.items()}
            cases = [Case(name, STREAM_BYTES, 1) for name in (PUT_STREAM, GET_STREAM)]
            figures += await self._cases(cases, streams)
        if "list" in wanted:
            listings = {
                t: ListingWork(t, f"{c}-list", LISTED_NAMES) for t, c in self._containers.items()
            }
            cases = [Case(LIST, LISTED_NAMES, connections) for connections in LIST_CONNECTIONS]
            cases.append(Case(LIST_CHANGED, LISTED_NAMES, 1))
            figures += await self._cases(cases, listings)
        return figures

    async def _remove(self) -> None:
        self._announce("cleaning up")
        for target, container in self._containers.items():
            if not target.disposable:
                await remove(target, container)
                await remove(target, f"{container}-list")

    def _small(self, target: Target, size: int, connections: int) -> SmallWork:
        return SmallWork(
            target,
            self._containers[target],
            self._bodies[size],
            prefix=f"{size_text(size).replace(' ', '')}-{connections}",
            seed=connections,
        )

    def _small_operations(self) -> list[str]:
        """In the order in which they need each other: what is read must have been written."""
        wanted = [name for name in (GET, HEAD, DELETE) if name.lower() in self._plan.operations]
        return [PUT, *wanted] if wanted or "put" in self._plan.operations else []

    async def _cases(self, cases: Sequence[Case], works: Mapping[Target, Work]) -> list[Figure]:
        if not cases:
            return []
        for target, work in works.items():
            self._announce(f"preparing {target.name}")
            await work.prepare()
        figures = []
        for case in cases:
            sums = {target: _Sum() for target in works}
            for number in range(self._plan.rounds):
                order = list(works) if number % 2 == 0 else list(works)[::-1]
                for target in order:
                    self._announce(f"{case.title}, {case.connections} at once, {target.name}")
                    await self._round(target, works[target], case, sums[target])
            figures += [sums[target].figure(target, case) for target in works]
        return figures

    async def _round(self, target: Target, work: Work, case: Case, total: _Sum) -> None:
        target.client.disconnect()
        cpu, own = target.cpu_seconds(), time.process_time()
        tally = await work.round(case, self._plan.seconds)
        total.client_cpu_seconds += time.process_time() - own
        total.cpu_seconds += target.cpu_seconds() - cpu
        total.tally.add(tally)


async def remove(target: Target, container: str) -> None:
    """Empty and delete a container, if it is there. Raises Failed."""
    client = target.client
    first = await client.page(container, limit=1)
    if first.status == 404:
        return
    names = [entry.name for entry in await client.list(container)]

    async def delete(number: int) -> Answer:
        return (await client.delete(container, names[number])).expect()

    await load.run(
        delete, lambda *_: None, iter(range(len(names))), connections=CONNECTIONS[-1], seconds=600
    )
    (await client.remove_container(container)).expect(204, 404)
