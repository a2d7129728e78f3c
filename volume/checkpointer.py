"""Writes checkpoints of one log: knows what the last one consists of, and what a further one must add."""

from __future__ import annotations

from volume.checkpoint import Place, Root, encode_delta, encode_root, pack_places
from volume.entry import Entry
from volume.progress import Progress
from volume.recovery import Recovered
from volume.site import Site
from volume.state import Checkpoint, Part

MAP_PREFIX = "map/"
MARK = "map"
LEAF_BYTES_FOR_RUN = (
    64  # leaves are written for up to so many bytes for each run that need not be replayed
)


class Checkpointer:
    """Of one attachment, or of a volume that is being made over."""

    def __init__(
        self, site: Site, volume: str, recovered: Recovered, checkpoint: Checkpoint
    ) -> None:
        self._site = site
        self._volume = volume
        self._progress: Progress = recovered.progress
        self._leaves = dict(recovered.leaves)
        self._base_runs = recovered.base_runs
        self._tail = list(recovered.tail)
        self.last = checkpoint

    async def store(self, fresh: list[Entry], *, base: bool = False) -> Checkpoint:
        """A checkpoint after these entries, which follow the last one; it is durable and nothing names it.

        When it fails, the map's leaves count as changed as before.
        """
        dirty = set(self._progress.map.dirty)
        try:
            if base or self._base_due(fresh):
                self.last = await self._store_base()
            elif fresh:
                self.last = await self._store_delta(fresh)
        except BaseException:
            self._progress.map.dirty |= dirty
            raise
        return self.last

    def _base_due(self, fresh: list[Entry]) -> bool:
        """A base is worth its bytes: it is short, or too much would have to be replayed without it."""
        if not fresh:
            return False
        tuning, extents = self._site.tuning, self._progress.map
        runs = self._base_runs + sum(len(entry.runs) for entry in fresh)
        leaf_bytes = sum(extents.leaves[number].memory_bytes for number in extents.dirty)
        limit = max(tuning.delta_runs, extents.memory_bytes // 512)
        many = len(self.last.parts) > tuning.parts_max
        return runs > limit or many or leaf_bytes <= LEAF_BYTES_FOR_RUN * runs

    def _part(self, position: int) -> Part:
        """A fresh name."""
        mark = self._site.env.random_bytes(4).hex()
        return Part(self._volume, f"{MAP_PREFIX}{position:012x}-{mark}")

    async def _store_base(self) -> Checkpoint:
        """Leaves that changed, and a root over all of them."""
        progress, extents = self._progress, self._progress.map
        extents.coarsen()
        if len({place.part for place in self._leaves.values()}) >= self._site.tuning.parts_max // 2:
            extents.dirty = set(extents.leaves)
        part = self._part(progress.position)
        places, raws, at = dict(self._leaves), [], 0
        for number in sorted(extents.dirty):
            raw = extents.leaves[number].encode()
            places[number] = Place(part, at, len(raw))
            raws.append(raw)
            at += len(raw)
        named, rows = pack_places(places)
        position, size, time_us = progress.position, progress.size, progress.time_us
        ledger = progress.ledger.encode()
        root = Root(position, size, time_us, extents.leaf_blocks, named, rows, ledger)
        extents.dirty = set()
        body = b"".join((*raws, encode_root(root)))
        await self._site.objects.add(part.volume, part.name, body, MARK)
        self._leaves, self._base_runs, self._tail = places, 0, []
        return Checkpoint(position, time_us, part, (), tuple({*named, part}))

    async def _store_delta(self, fresh: list[Entry]) -> Checkpoint:
        """Footers since the last checkpoint; a short delta before is taken up into it."""
        old, tail = self.last, list(self._tail)
        deltas = list(old.deltas)
        if deltas and sum(48 + 16 * len(one.runs) for one in tail) < self._site.tuning.delta_bytes:
            deltas.pop()
        else:
            tail = []
        tail += fresh
        position = fresh[-1].sequence
        part = self._part(position)
        await self._site.objects.add(part.volume, part.name, encode_delta(tail), MARK)
        self._base_runs += sum(len(entry.runs) for entry in fresh)
        self._tail = tail
        deltas.append(part)
        kept = [one for one in old.parts if one not in old.deltas or one in deltas]
        return Checkpoint(position, fresh[-1].time_us, old.base, tuple(deltas), (*kept, part))
