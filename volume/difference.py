"""What differs between two positions of a log, by comparing their maps."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np

from volume.entry import Entry
from volume.extent_map import ExtentMap
from volume.mover import origins
from volume.place import Places, Run, holds_data, runs_of
from volume.port import BLOCK_BYTES, Extent
from volume.progress import spans
from volume.recovery import Recovered
from volume.site import Site

ENTRIES_KEPT = 256


async def differences(
    site: Site, older: Recovered | None, newer: Recovered, size: int
) -> AsyncIterator[Extent]:
    """Runs of the newer one that are not the same entry's in the older one, in order.

    What the collector has only moved is no difference.
    """
    compare = _Comparison(site, older, newer)
    last: Extent | None = None
    for block in compare.spans():
        async for low, length, data in compare.span(block):
            start = low * BLOCK_BYTES
            stop = min(size, start + length * BLOCK_BYTES)
            if stop <= start:
                continue
            if last is not None and (last.offset + last.length, last.data) == (start, data):
                last = last._replace(length=stop - last.offset)
                continue
            if last is not None:
                yield last
            last = Extent(start, stop - start, data)
    if last is not None:
        yield last


class _Comparison:
    def __init__(self, site: Site, older: Recovered | None, newer: Recovered) -> None:
        self._site = site
        self._older = older
        self._newer = newer
        self._step = newer.progress.map.leaf_blocks
        self._entries: dict[int, Entry] = {}

    def spans(self) -> list[int]:
        """First blocks of the spans in which one of them has something."""
        maps = [one.progress.map for one in (self._older, self._newer) if one is not None]
        return sorted(
            {
                number * extents.leaf_blocks // self._step * self._step
                for extents in maps
                for number in extents.leaves
            }
        )

    async def span(self, block: int) -> AsyncIterator[tuple[int, int, bool]]:
        """(block, blocks, data) of what differs in one span."""
        empty = ExtentMap(self._step)
        before = empty if self._older is None else self._older.progress.map
        left = before.places(block, self._step)
        right = self._newer.progress.map.places(block, self._step)
        for low, high in spans(left != right):
            for at, length in _alike(right[low:high]):
                place = int(right[low + at])
                first = block + low + at
                old = left[low + at : low + at + length]
                for skip, count in await self._really(first, old, place):
                    yield first + skip, count, holds_data(place)

    async def _really(self, block: int, old: Places, place: int) -> list[tuple[int, int]]:
        """(first, length) of the blocks of a run that are not on both sides what one client's write put there."""
        length = len(old)
        if self._older is None or not holds_data(place):
            return [(0, length)]
        mine = await self._origins(self._newer, Run(block, length, place))
        theirs: list[int] = []
        for run in runs_of(block, old):
            theirs += await self._origins(self._older, run)
        changed = np.array([one != other for one, other in zip(mine, theirs, strict=True)])
        return [(low, high - low) for low, high in spans(changed)]

    async def _origins(self, log: Recovered, run: Run) -> list[int]:
        """For every block of a run the entry in which a client wrote it; 0 for none."""
        if not run.data:
            return [0] * run.length
        number = run.object_number
        if not log.progress.ledger.moved(number):
            return [number] * run.length
        entry = self._entries.get(number)
        if entry is None:
            found = await self._site.recovery.entry(log.table.row(number), number)
            if found is None:
                return [number] * run.length
            if len(self._entries) >= ENTRIES_KEPT:
                self._entries.clear()
            entry = self._entries[number] = found
        return [origin for part, origin in sorted(origins(entry, run)) for _ in range(part.length)]


def _alike(places: Places) -> list[tuple[int, int]]:
    """(first, length) of runs that lie in one object, or are holes, or were never written."""
    found: list[tuple[int, int]] = []
    for at, place in enumerate(places.tolist()):
        if found:
            first, length = found[-1]
            begin = int(places[first])
            follows = place == begin + (length if holds_data(begin) else 0)
            if follows and holds_data(place) == holds_data(begin):
                found[-1] = (first, length + 1)
                continue
        found.append((at, 1))
    return found
