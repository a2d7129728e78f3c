"""Crash everything at every moment of a recorded workload on volumes, recover, compare with the model.

`check(seed, ...)` records a workload (`sim.block_work`) on objects in memory in virtual time. Then, for each point and
for subsets of the changes in flight, a new library recovers from what is stored: every volume must be a state that its
history allows, every snapshot must read what it always did, and life must go on: a write, a collection of garbage,
another attachment. Rules can be left out (`broken`) to see that it is noticed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple, TypeVar

import msgspec
import numpy as np

from core.errors import NotFound, RingstackError
from sim.block_model import Allowed, Content, Expected, block_data, content_of
from sim.block_work import Workload, perform
from sim.block_world import CrashObjects, Point, World
from sim.env import SimEnv
from sim.loop import SimLoop
from volume.keys import MemoryKeys
from volume.library import StoreVolumes
from volume.port import BLOCK_BYTES
from volume.site import site_of
from volume.tuning import Tuning

MUTANTS = ("early-flush", "early-removal", "no-end", "no-pins")
WRONG_MAX = 20
SMALL = Tuning(
    batch_blocks=6,
    window=3,
    leaf_blocks=16,
    idle_s=0.02,
    checkpoint_entries=6,
    checkpoint_blocks=30,
    delta_bytes=300,
    delta_runs=24,
    parts_max=6,
    collect_min_blocks=8,
    small_blocks=2,
    small_count=6,
    look_every=1,
    rows_kept=3,
    replay_ahead=4,
    cache_bytes=128 * 1024,
    pieces_max=8,
)

T = TypeVar("T")


class Report(msgspec.Struct):
    """What was tried. `points`: moments; `crashes`: recoveries, one for each subset that was tried there."""

    seed: int
    points: int = 0
    tried: int = 0
    crashes: int = 0
    steps: dict[str, int] = msgspec.field(default_factory=dict)
    wrong: list[str] = msgspec.field(default_factory=list)


class Trial(NamedTuple):
    """A crash to be tried."""

    number: int
    world: World
    expected: Expected
    long: bool  # also collect garbage and attach again


def check(
    seed: int,
    *,
    steps: int = 150,
    points: int | None = None,
    broken: frozenset[str] = frozenset(),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Record, then crash at all points (or as many as asked for, spread evenly)."""
    tuning = SMALL._replace(broken=broken)
    work, recorded = record(seed, steps, tuning)
    report = Report(seed, points=len(recorded), steps=work.counts, wrong=list(work.wrong))
    every = max(1, len(recorded) // points) if points else 1
    chance = random.Random(seed)
    chosen = range(0, len(recorded), every)
    for done, number in enumerate(chosen):
        if len(report.wrong) >= WRONG_MAX:
            break
        report.tried += 1
        for world in recorded[number].crashes(chance):
            report.crashes += 1
            trial = Trial(number, world, recorded[number].expected, chance.random() < 0.2)
            report.wrong += [f"point {number}: {one}" for one in recover(seed, trial)]
        if progress is not None:
            progress(done + 1, len(chosen))
    return report


def record(seed: int, steps: int, tuning: Tuning) -> tuple[Workload, list[Point]]:
    """Run the workload once."""
    work = Workload(seed)
    objects = CrashObjects({}, random.Random(seed + 1), work.expected)

    async def run(env: SimEnv) -> None:
        work.volumes = StoreVolumes(site_of(env, objects, MemoryKeys(env), tuning))
        await perform(work, steps)
        objects.point()

    in_virtual_time(run, seed)
    return work, objects.points


def recover(seed: int, trial: Trial) -> list[str]:
    """What is wrong after a crash."""

    async def run(env: SimEnv) -> list[str]:
        objects = CrashObjects(trial.world, random.Random(seed))
        volumes = StoreVolumes(site_of(env, objects, MemoryKeys(env), SMALL))
        return await judge(volumes, trial)

    return in_virtual_time(run, seed + trial.number)


async def judge(volumes: StoreVolumes, trial: Trial) -> list[str]:
    """Every volume, every snapshot, and again after work went on."""
    wrong = []
    for name, allowed in trial.expected.volumes.items():
        wrong += await _judge_volume(volumes, name, allowed, long=trial.long)
    for key, allowed in trial.expected.snapshots.items():
        found = await _attempt(_read_snapshot(volumes, *key))
        wrong += _said(f"snapshot {key}", allowed, found)
    return wrong


async def _judge_volume(
    volumes: StoreVolumes, name: str, allowed: Allowed, *, long: bool
) -> list[str]:
    found = await _attempt(_read_volume(volumes, name))
    wrong = _said(f"volume {name}", allowed, found)
    if wrong or found is None or isinstance(found, str):
        return wrong
    after = await _attempt(_go_on(volumes, name, long=long))
    if isinstance(after, str) or after is None:
        return [f"volume {name} cannot go on: {after}"]
    found[0] = 7
    return [] if np.array_equal(found, after) else [f"volume {name} changed when life went on"]


def _said(what: str, allowed: Allowed, found: Content | str | None) -> list[str]:
    wrong = found if isinstance(found, str) else allowed.verdict(found)
    return [f"{what} {wrong}"] if wrong else []


async def _attempt(work: Coroutine[Any, Any, Content]) -> Content | str | None:
    """What was read, None when it is not there, or what is wrong."""
    try:
        return await work
    except NotFound as error:
        if error.code in {"NoSuchVolume", "NoSuchSnapshot"}:
            return None
        return f"cannot be read: {error.code}: {error}"
    except RingstackError as error:
        return f"cannot be read: {error.code}: {error}"


def _checked(data: bytes) -> Content:
    content = content_of(data)
    return np.full(1, 1 << 63, np.uint64) if content is None else content


async def _read_volume(volumes: StoreVolumes, name: str) -> Content:
    disk = await volumes.attach(name, "recovery")
    try:
        return _checked(await disk.read(0, disk.size))
    finally:
        disk.abandon()


async def _go_on(volumes: StoreVolumes, name: str, *, long: bool) -> Content:
    """Write a block, perhaps collect garbage, attach again and read."""
    disk = await volumes.attach(name, "recovery")
    await disk.write(0, block_data(7, 1), durable=True)
    if long:
        await disk.upkeep.stop()
        await disk.upkeep.sweep()
        await disk.upkeep.collect_all()
    disk.abandon()
    return await _read_volume(volumes, name)


async def _read_snapshot(volumes: StoreVolumes, name: str, snapshot: str) -> Content:
    view = await volumes.view(name, snapshot_id=snapshot)
    assert view.size % BLOCK_BYTES == 0
    return _checked(await view.read(0, view.size))


def in_virtual_time(work: Callable[[SimEnv], Coroutine[Any, Any, T]], seed: int) -> T:
    """The result of a coroutine on a loop of its own; what is left then is cancelled."""
    loop = SimLoop()
    try:
        result = loop.run_until_complete(work(SimEnv(loop, random.Random(seed))))
        for tasks in list(loop.tasks_of.values()):
            for task in list(tasks):
                task.cancel()
        loop.run_until_complete(_turn())
        return result
    finally:
        loop.close()


async def _turn() -> None:
    """Let cancelled tasks end."""
