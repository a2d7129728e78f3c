"""A random workload on volumes, recorded for `sim.block_crash`: writes, flushes, snapshots, clones, take-overs, all of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import numpy as np

from core.errors import Conflict, RingstackError, UnknownOutcome
from sim.block_model import (
    MAY,
    MUST,
    NOT,
    Allowed,
    Content,
    Expected,
    VolumeModel,
    block_data,
    content_of,
)
from volume.disk import LogDisk
from volume.library import StoreVolumes
from volume.port import BLOCK_BYTES, Disk, Fenced

BLOCKS = 48
VOLUMES_MAX = 5
STEPS = (
    ("write", 30),
    ("zero", 6),
    ("flush", 10),
    ("snapshot", 4),
    ("drop", 3),
    ("clone", 2),
    ("take_over", 4),
    ("group", 2),
    ("revert", 1),
    ("flatten", 1),
    ("delete", 1),
    ("collect", 1),
    ("pause", 3),
)


class Workload:
    """One client with all volumes; `wrong` collects what it saw itself."""

    def __init__(self, seed: int) -> None:
        self.volumes: StoreVolumes | None = None
        self._chance = random.Random(seed)
        self._models: dict[str, VolumeModel] = {}
        self._disks: dict[str, LogDisk] = {}
        self._stale: list[tuple[str, LogDisk]] = []
        self._snapshots: dict[tuple[str, str], Allowed] = {}
        self._number = 0
        self.wrong: list[str] = []
        self.counts: dict[str, int] = {}
        self.flush_log: list[
            tuple[int, str, Content]
        ] = []  # (number, volume, content) when complete

    def expected(self) -> Expected:
        """What a crash now may leave."""
        return Expected(
            {name: model.allowed() for name, model in self._models.items()},
            dict(self._snapshots),
        )

    def _volumes(self) -> StoreVolumes:
        assert self.volumes is not None
        return self.volumes

    async def _again(self, call: Callable[[], Awaitable[object]]) -> None:
        """Every verb may be repeated when nobody knows what became of it."""
        while True:
            try:
                await call()
                return
            except UnknownOutcome:
                await asyncio.sleep(0.01)

    async def _attach(self, name: str, owner: str) -> LogDisk:
        while True:
            try:
                return await self._volumes().attach(name, owner)
            except UnknownOutcome:
                await asyncio.sleep(0.01)

    async def run(self, steps: int) -> None:
        """Do it all; errors that are part of the game are none."""
        for name in ("a", "b"):
            await self._create(name)
        names = [name for name, weight in STEPS for _ in range(weight)]
        for _ in range(steps):
            step = self._chance.choice(names)
            self.counts[step] = self.counts.get(step, 0) + 1
            await getattr(self, f"_{step}")(self._chance.choice(sorted(self._disks)))
        for name in sorted(self._disks):
            await self._flush(name)
            await self._compare(name)

    async def _create(self, name: str) -> None:
        self._models[name] = VolumeModel(np.zeros(BLOCKS, np.uint64))
        await self._again(lambda: self._volumes().create(name, BLOCKS * BLOCK_BYTES))
        self._models[name].exists = MUST
        self._disks[name] = await self._attach(name, "workload")

    # -- plain work ----------------------------------------------------------------------------

    def _run(self) -> tuple[int, int]:
        block = self._chance.randrange(BLOCKS)
        return block, min(BLOCKS - block, self._chance.choice([1, 1, 2, 3, 5, 6]))

    async def _write(self, name: str) -> None:
        block, count = self._run()
        self._number += 1
        self._models[name].written(block, count, self._number)
        data = block_data(self._number, count)
        durable = self._chance.random() < 0.1
        await self._disks[name].write(block * BLOCK_BYTES, data, durable=durable)
        if durable:
            self._flushed(name, self._models[name].issued)

    async def _zero(self, name: str) -> None:
        block, count = self._run()
        self._models[name].written(block, count, 0)
        await self._disks[name].zero(block * BLOCK_BYTES, count * BLOCK_BYTES)

    def _flushed(self, name: str, issued: int) -> None:
        model = self._models[name]
        model.flushed = issued
        self.flush_log.append((self._number, name, model.history[issued]))

    async def _flush(self, name: str) -> None:
        issued = self._models[name].issued
        await self._disks[name].flush()
        self._flushed(name, issued)

    async def _pause(self, name: str) -> None:
        """Long enough for what is gathered to go by itself, and for upkeep."""
        del name
        await asyncio.sleep(self._chance.choice([0.01, 0.05, 0.5]))

    async def _compare(self, name: str) -> None:
        found = await self._content(self._disks[name])
        if found is None or not np.array_equal(found, self._models[name].content):
            self.wrong.append(f"volume {name} does not read what was written")

    @staticmethod
    async def _content(disk: Disk) -> Content | None:
        return content_of(await disk.read(0, disk.size))

    # -- snapshots and clones ------------------------------------------------------------------

    async def _snapshot(self, name: str) -> None:
        model = self._models[name]
        await self._flush(name)
        self._number += 1
        key = (name, f"s{self._number}")
        at = model.issued
        self._snapshots[key] = Allowed(MAY, model.history, at, at)
        await self._again(lambda: self._volumes().snapshot(*key))
        self._snapshots[key] = Allowed(MUST, model.history, at, at)

    def _of(self, name: str) -> list[tuple[str, str]]:
        """Snapshots that are surely there."""
        return [k for k, one in self._snapshots.items() if k[0] == name and one.exists == MUST]

    async def _drop(self, name: str) -> None:
        keys = self._of(name)
        if keys:
            await self._drop_one(self._chance.choice(keys))

    async def _drop_one(self, key: tuple[str, str]) -> None:
        self._snapshots[key] = self._snapshots[key]._replace(exists=MAY)
        await self._again(lambda: self._volumes().drop_snapshot(*key))
        self._snapshots[key] = self._snapshots[key]._replace(exists=NOT)

    async def _clone(self, name: str) -> None:
        keys = self._of(name)
        if not keys or len(self._disks) >= VOLUMES_MAX:
            return
        key = self._chance.choice(keys)
        self._number += 1
        clone = f"c{self._number}"
        source = self._snapshots[key]
        self._models[clone] = VolumeModel(source.history[source.low])
        await self._again(lambda: self._volumes().clone(clone, *key))
        self._models[clone].exists = MUST
        self._disks[clone] = await self._attach(clone, "workload")
        await self._compare(clone)

    async def _group(self, name: str) -> None:
        """Two volumes at one instant, while they are written one after the other."""
        others = [other for other in sorted(self._disks) if other != name]
        if not others:
            return
        pair = (name, self._chance.choice(others))
        self._number += 1
        keys = [(member, f"g{self._number}") for member in pair]
        before = [self._models[member].flushed for member in pair]
        models = [self._models[member] for member in pair]
        for key, model, low in zip(keys, models, before, strict=True):
            self._snapshots[key] = Allowed(MAY, model.history, low, 1 << 30)
        began = len(self.flush_log)
        cutting = asyncio.get_running_loop().create_task(self._volumes().snapshot_group(keys))
        while not cutting.done() and self._chance.random() < 0.9:
            member = self._chance.choice(pair)
            await self._write(member)
            await self._flush(member)
        try:
            await cutting
        except UnknownOutcome:
            for key in keys:
                await self._drop_one(key)
            return
        contents = [await self._settle(key, model) for key, model in zip(keys, models, strict=True)]
        self._judge_cut(pair, contents, self.flush_log[began:])

    async def _settle(self, key: tuple[str, str], model: VolumeModel) -> Content:
        """A snapshot is what it is first seen to be."""
        view = await self._volumes().view(key[0], snapshot_id=key[1])
        found = await self._content(view)
        await view.close()
        allowed = self._snapshots[key]._replace(high=model.issued)
        wrong = "is torn" if found is None else allowed.verdict(found)
        if wrong or found is None:
            self.wrong.append(f"snapshot {key} {wrong}")
            found = model.content
        self._snapshots[key] = Allowed(MUST, [found], 0, 0)
        return found

    def _judge_cut(
        self,
        pair: tuple[str, ...],
        contents: list[Content],
        flushes: list[tuple[int, str, Content]],
    ) -> None:
        """No member may have a write that was issued after another's flush that is not in the cut."""
        newest = max(int(content.max()) for content in contents)
        for number, name, content in flushes:
            if name in pair and number < newest:
                mine = contents[pair.index(name)]
                if int(mine.max()) < int(content.max()):
                    self.wrong.append(f"the cut of {pair} has write {newest} without {number}")

    # -- attachments ---------------------------------------------------------------------------

    async def _take_over(self, name: str) -> None:
        """Another attachment, while the old one still writes; what it had not flushed may be lost."""
        old, model = self._disks[name], self._models[name]
        rival = asyncio.get_running_loop().create_task(self._rival(name))
        disk = await self._attach(name, "another")
        await rival
        await self._adopt(name, disk, model)
        if await self._lingers(old):
            self.wrong.append(f"an attachment of {name} that was taken over flushed")

    async def _adopt(self, name: str, disk: LogDisk, model: VolumeModel) -> None:
        self._disks[name] = disk
        found = await self._content(disk)
        wrong = "is torn" if found is None else model.settle(found)
        if wrong:
            self.wrong.append(f"after a take-over, volume {name} {wrong}")

    async def _rival(self, name: str) -> None:
        """Go on with the old attachment while it is taken over."""
        try:
            for _ in range(self._chance.randrange(6)):
                await self._write(name)
                if self._chance.random() < 0.5:
                    await self._flush(name)
        except Fenced:
            return

    @staticmethod
    async def _lingers(disk: LogDisk) -> bool:
        """Write with an attachment that was taken over; True when a flush is answered."""
        try:
            data = block_data(1 << 40, 1)
            await disk.write(0, data)
            await disk.flush()
        except Fenced:
            disk.abandon()
            return False
        return True

    async def _revert(self, name: str) -> None:
        keys = self._of(name)
        if not keys:
            return
        key = self._chance.choice(keys)
        await self._disks.pop(name).close()
        model, kept = self._models[name], self._snapshots[key]
        model.flushed = model.issued
        model.replaced(kept.history[kept.low])
        await self._again(lambda: self._volumes().revert(*key))
        model.flushed = model.issued
        self._disks[name] = await self._attach(name, "workload")
        await self._compare(name)

    async def _flatten(self, name: str) -> None:
        await self._disks.pop(name).close()
        self._models[name].flushed = self._models[name].issued
        await self._again(lambda: self._volumes().flatten(name))
        self._disks[name] = await self._attach(name, "workload")
        await self._compare(name)

    async def _collect(self, name: str) -> None:
        await self._disks.pop(name).close()
        self._models[name].flushed = self._models[name].issued
        await self._again(lambda: self._volumes().collect(name))
        self._disks[name] = await self._attach(name, "workload")
        await self._compare(name)

    async def _delete(self, name: str) -> None:
        if len(self._disks) < 3:
            return
        for key in self._of(name):
            await self._drop_one(key)
        disk = self._disks.pop(name)
        self._models[name].exists = MAY
        try:
            await self._again(lambda: self._volumes().delete(name))
        except Conflict as error:
            self.wrong.append(f"volume {name} cannot be deleted: {error}")
        self._models[name].exists = NOT
        disk.abandon()


async def perform(work: Workload, steps: int) -> None:
    """Run it; what it raises is a finding."""
    try:
        await work.run(steps)
    except RingstackError as error:
        work.wrong.append(f"the workload failed: {type(error).__name__} {error.code}: {error}")
