"""The state of a log at a position: map, ledger, size. Recovery and the running writer apply entries alike. Pure."""

from __future__ import annotations

import numpy as np

from volume.entry import END, MOVE, Entry, Written
from volume.extent_map import ExtentMap
from volume.ledger import Ledger
from volume.place import HOLE, Places, place_of, runs_of


class Progress:
    """What the entries up to `position` add up to."""

    def __init__(self, extents: ExtentMap, ledger: Ledger, position: int, size: int) -> None:
        self.map = extents
        self.ledger = ledger
        self.position = position
        self.size = size
        self.time_us = 0

    def apply(self, entry: Entry) -> None:
        """Take the entry that follows."""
        assert entry.sequence == self.position + 1
        number = entry.sequence
        own = number >= self.ledger.first
        if own and entry.kind != END:
            # an END stays for good: were its place free again, what it closed could go on writing
            self.ledger.born(number, entry.blocks, moved=entry.kind == MOVE)
        if entry.kind == MOVE:
            self._move(entry)
        elif entry.kind != END:
            for run in entry.runs:
                self._write(run, number)
        self.position = number
        self.size = max(self.size, entry.size)
        self.time_us = max(self.time_us, entry.time_us)

    def _write(self, run: Written, number: int) -> None:
        displaced = self.map.assign(run.block, run.length, place_of(number, run.offset))
        if run.offset != HOLE:
            self.ledger.gained(number, run.length)
        if displaced:
            self.ledger.lost(displaced, number)

    def _move(self, entry: Entry) -> None:
        """Each block counts only where the map still names the place it was copied from."""
        for run in entry.runs:
            now = self.map.places(run.block, run.length)
            same = now == np.arange(run.source, run.source + run.length, dtype=np.uint64)
            if same.all():
                self._write(run, entry.sequence)
                continue
            for low, high in spans(same):
                offset = run.offset + low
                self._write(Written(run.block + low, high - low, offset), entry.sequence)


def spans(mask: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> list[tuple[int, int]]:
    """[low, high) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    pairs = edges.reshape(-1, 2).tolist()
    return [(low, high) for low, high in pairs]


def still_there(extents: ExtentMap, number: int, runs: list[Written]) -> list[tuple[int, Places]]:
    """Of an entry's runs: (block, places) of those blocks that the map still takes from it."""
    found: list[tuple[int, Places]] = []
    for run in runs:
        if run.offset == HOLE:
            continue
        first = place_of(number, run.offset)
        now = extents.places(run.block, run.length)
        same = now == np.arange(first, first + run.length, dtype=np.uint64)
        found += [(run.block + low, now[low:high]) for low, high in spans(same)]
    return found


__all__ = ["Progress", "runs_of", "spans", "still_there"]
