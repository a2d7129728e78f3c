"""Copies blocks from log objects to the end of the log: for the collector, and for clones that are flattened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from core.env import Env
from core.errors import NotFound
from volume.branch import BranchTable, entry_name
from volume.entry import MOVE, Entry, Written, encode_footer
from volume.place import Run
from volume.port import BLOCK_BYTES
from volume.progress import Progress, still_there
from volume.site import Site

AT_ONCE = 16
WHOLE_RUNS = 16  # more runs than that of one object are read as one


class MoveCargo:
    """Blocks on their way to another object."""

    def __init__(self, env: Env, size: int) -> None:
        self._env = env
        self._size = size
        self.runs: list[Written] = []
        self._data: list[bytes | memoryview] = []
        self.blocks = 0

    def take(self, run: Run, origin: int, data: bytes | memoryview) -> None:
        """One run with its bytes."""
        self.runs.append(Written(run.block, run.length, self.blocks, run.place, origin))
        self._data.append(data)
        self.blocks += run.length

    def load(self, branch: str, sequence: int) -> tuple[Entry, bytes]:
        """See volume.log.Cargo."""
        now_us = self._env.wall_us()
        entry = Entry(MOVE, branch, sequence, now_us, self._size, self.blocks, self.runs)
        return entry, b"".join((*self._data, encode_footer(entry)))


class Taken(NamedTuple):
    """A run that was read, and the entry in which a client wrote it."""

    run: Run
    origin: int
    data: bytes | memoryview


class Mover:
    """Prepares cargoes."""

    def __init__(self, site: Site, table: BranchTable, progress: Progress) -> None:
        self._objects = site.objects
        self._recovery = site.recovery
        self._table = table
        self._progress = progress
        self._env = site.env

    async def live(self, numbers: Sequence[int]) -> MoveCargo:
        """What the map still takes from these entries."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> list[Taken]:
            async with limit:
                entry = await self._entry(number)
                if entry is None:
                    return []
                there = still_there(self._progress.map, number, list(entry.runs))
                runs = [Run(block, len(places), int(places[0])) for block, places in there]
                return await self._take(entry, runs)

        return self._loaded(await asyncio.gather(*(one(number) for number in numbers)))

    def _loaded(self, found: Sequence[Sequence[Taken]]) -> MoveCargo:
        """All of it, in order of the volume: what is read together then lies together."""
        cargo = MoveCargo(self._env, self._progress.size)
        for taken in sorted((one for part in found for one in part), key=lambda one: one.run):
            cargo.take(taken.run, taken.origin, taken.data)
        return cargo

    async def _entry(self, number: int) -> Entry | None:
        return await self._recovery.entry(self._table.row(number), number)

    async def foreign(self, runs: Sequence[Run]) -> MoveCargo:
        """Runs of the map that lie in objects of a parent."""
        by_object: dict[int, list[Run]] = {}
        for run in runs:
            by_object.setdefault(run.object_number, []).append(run)
        found: list[list[Taken]] = []
        for number, group in by_object.items():
            entry = await self._entry(number)
            if entry is None:
                raise NotFound("NoSuchObject", f"entry {number} of a parent has gone")
            found.append(await self._take(entry, group))
        return self._loaded(found)

    async def _take(self, entry: Entry, runs: Sequence[Run]) -> list[Taken]:
        """Read runs of one object. Raises NotFound when it has gone."""
        if not runs:
            return []
        row = self._table.row(entry.sequence)
        piece = await self._objects.find(row.volume, entry_name(row, entry.sequence))
        low = min(run.offset for run in runs)
        high = max(run.offset + run.length for run in runs)
        taken: list[Taken] = []
        whole: memoryview | None = None
        if len(runs) > WHOLE_RUNS:
            start, length = low * BLOCK_BYTES, (high - low) * BLOCK_BYTES
            whole = memoryview(await self._objects.read(piece, start, length))
        for run in runs:
            start, length = run.offset * BLOCK_BYTES, run.length * BLOCK_BYTES
            if whole is None:
                data = await self._objects.read(piece, start, length)
            else:
                data = whole[start - low * BLOCK_BYTES :][:length]
            for part, origin in origins(entry, run):
                at = (part.block - run.block) * BLOCK_BYTES
                taken.append(Taken(part, origin, data[at : at + part.length * BLOCK_BYTES]))
        return taken


def origins(entry: Entry, run: Run) -> list[tuple[Run, int]]:
    """Cut a run of an entry by the entries that clients wrote it with."""
    if entry.kind != MOVE:
        return [(run, entry.sequence)]
    parts = []
    low, high = run.offset, run.offset + run.length
    for one in entry.runs:
        start, end = max(low, one.offset), min(high, one.offset + one.length)
        if start < end:
            skip = start - low
            parts.append((Run(run.block + skip, end - start, run.place + skip), one.origin))
    return parts
