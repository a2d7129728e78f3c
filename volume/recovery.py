"""From objects to the state of a log at a position: a checkpoint, then the entries after it.

Promises: exactly what was committed up to there. Entries are read ahead of being applied, many at a time. An entry that
should be there and is not is Corrupt; past the end of the log it is the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import Corrupt, NotFound
from volume.branch import BranchTable, Row, entry_name
from volume.checkpoint import TRAILER_BYTES, Place, Root, decode_delta, decode_root, root_bytes
from volume.entry import END, Entry, decode_footer, footer_bytes
from volume.extent_map import ExtentMap
from volume.leaf import Leaf
from volume.ledger import Ledger
from volume.objects import Objects, Piece
from volume.progress import Progress
from volume.state import Checkpoint, Part, State
from volume.tuning import Tuning

TAIL_BYTES = 64 * 1024
LEAVES_AT_ONCE = 8
NO_CONTAINER = "NoSuchContainer"


class End(NamedTuple):
    """Where to stop: at a position, or before the first entry after a time."""

    position: int | None
    time_us: int | None = None


class Recovered(NamedTuple):
    """A log at a position.

    `leaves`: where the base of the checkpoint has them. `since`: entries after that base; the last `fresh` of them
    are in no delta. `tail`: the entries of the last delta.
    """

    progress: Progress
    table: BranchTable
    leaves: dict[int, Place]
    base_runs: int
    fresh: list[Entry]
    tail: list[Entry]


class Recovery:
    """Reads logs."""

    def __init__(self, objects: Objects, tuning: Tuning) -> None:
        self._objects = objects
        self._tuning = tuning

    # -- entries -------------------------------------------------------------------------------

    async def entry(self, row: Row, sequence: int) -> Entry | None:
        """What an object of the log says, or None when there is none. Raises NotFound without a volume."""
        try:
            piece = await self._objects.find(row.volume, entry_name(row, sequence))
            entry = decode_footer(await self._tail(piece, TAIL_BYTES, footer_bytes))
        except NotFound as error:
            if error.code == NO_CONTAINER:
                raise
            return None
        if (entry.sequence, entry.branch) != (sequence, row.branch):
            raise Corrupt("BadEntry", f"entry {sequence} of {row.volume} is another one")
        return entry

    async def _tail(self, piece: Piece, guess: int, measure: object) -> bytes | memoryview:
        """The end of an object, long enough for what `measure` finds there."""
        if piece.inline is not None:
            return piece.inline
        length = min(piece.size, guess)
        tail = await self._objects.read(piece, piece.size - length, length)
        assert callable(measure)
        wanted = min(piece.size, measure(tail))
        if wanted > length:
            tail = await self._objects.read(piece, piece.size - wanted, wanted)
        return tail

    # -- a whole log ---------------------------------------------------------------------------

    async def at(
        self,
        state: State,
        checkpoint: Checkpoint,
        until: int | None,
        *,
        time_us: int | None = None,
    ) -> Recovered:
        """The log at `until`, or at its end, or before its first entry after a time.

        Raises Corrupt, NotFound when something has gone meanwhile.
        """
        progress, leaves = await self._base(state, checkpoint)
        base_runs, tail = 0, list[Entry]()
        for part in checkpoint.deltas:
            tail = list(decode_delta(await self._whole(part)))
            base_runs += sum(len(entry.runs) for entry in tail)
            for entry in tail:
                progress.apply(entry)
        if progress.position != checkpoint.position:
            raise Corrupt("BadCheckpoint", f"a checkpoint of {state.id} ends elsewhere")
        fresh: list[Entry] = []
        table = await self._replay(state, progress, End(until, time_us), fresh)
        return Recovered(progress, table, leaves, base_runs, fresh, tail)

    async def _whole(self, part: Part) -> bytes | memoryview:
        piece = await self._objects.find(part.volume, part.name)
        if piece.inline is not None:
            return piece.inline
        return await self._objects.read(piece, 0, piece.size)

    async def _base(
        self, state: State, checkpoint: Checkpoint
    ) -> tuple[Progress, dict[int, Place]]:
        extents = ExtentMap(self._tuning.leaf_blocks)
        if checkpoint.base is None:
            start = state.rows[0].first - 1
            return Progress(extents, Ledger(state.first), start, 0), {}
        piece = await self._objects.find(checkpoint.base.volume, checkpoint.base.name)
        root = decode_root(await self._tail(piece, TAIL_BYTES, root_bytes))
        extents = ExtentMap(root.leaf_blocks)
        places = root.places()
        await self._leaves(extents, places)
        progress = Progress(extents, _ledger(state, root, extents), root.position, root.size)
        progress.time_us = root.time_us
        return progress, places

    async def _leaves(self, extents: ExtentMap, places: dict[int, Place]) -> None:
        """Read all leaves, neighbours in one object at once."""
        by_part: dict[Part, list[tuple[int, Place]]] = {}
        for number, place in places.items():
            by_part.setdefault(place.part, []).append((number, place))
        limit = asyncio.Semaphore(LEAVES_AT_ONCE)

        async def take(part: Part, group: Sequence[tuple[int, Place]]) -> None:
            async with limit:
                piece = await self._objects.find(part.volume, part.name)
                start = group[0][1].start
                end = max(place.start + place.length for _, place in group)
                raw = memoryview(await self._objects.read(piece, start, end - start))
            for number, place in group:
                low = place.start - start
                leaf = Leaf.decode(extents.leaf_blocks, raw[low : low + place.length])
                extents.leaves[number] = leaf

        groups = [
            (part, group)
            for part, found in by_part.items()
            for group in grouped(sorted(found, key=lambda one: one[1].start))
        ]
        await asyncio.gather(*(take(part, group) for part, group in groups))

    async def _replay(
        self, state: State, progress: Progress, end: End, fresh: list[Entry]
    ) -> BranchTable:
        """Apply entries in order until the position, or the first that is not there."""
        table = BranchTable(state.rows)
        ahead, until = self._tuning.replay_ahead, end.position
        while until is None or progress.position < until:
            first = progress.position + 1
            row = table.row(first)
            last = table.end_of(first) or first + ahead - 1
            last = min(last, first + ahead - 1, until or last)
            found = await asyncio.gather(
                *(self.entry(row, number) for number in range(first, last + 1))
            )
            for entry in found:
                if entry is None:
                    if until is not None or table.end_of(first) is not None:
                        raise Corrupt("LogGap", f"the log of {state.id} has a gap after {first}")
                    return table
                if end.time_us is not None and entry.time_us > end.time_us:
                    return table
                progress.apply(entry)
                fresh.append(entry)
                if entry.kind == END and table.end_of(first) is None:
                    row = Row(entry.sequence + 1, state.id, entry.successor)
                    table = table.extended(row)
                    break
        return table


def _ledger(state: State, root: Root, extents: ExtentMap) -> Ledger:
    """Of the volume itself: the ledger of a parent's checkpoint counts other objects."""
    live = extents.live()
    ledger = Ledger.decode(root.ledger, live)
    return ledger if ledger.first == state.first else Ledger(state.first)


def grouped(
    places: Sequence[tuple[int, Place]], bytes_max: int = 4 << 20
) -> list[list[tuple[int, Place]]]:
    """Places in one object, in order, cut into groups that are read at once."""
    groups: list[list[tuple[int, Place]]] = []
    for one in places:
        start = groups[-1][0][1].start if groups else 0
        gap = one[1].start - (groups[-1][-1][1].start + groups[-1][-1][1].length) if groups else 0
        if groups and one[1].start + one[1].length - start <= bytes_max and gap <= TAIL_BYTES:
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


__all__ = ["TRAILER_BYTES", "Recovered", "Recovery", "grouped"]
