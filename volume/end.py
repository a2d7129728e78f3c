"""Where a log ends, found with few reads, without its content.

An entry is sent only when the one a window before it is committed; so if entry m is there, everything up to
m - window is. That makes the end a matter of doubling and halving, and a few reads one after the other at last.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from core.errors import Corrupt, NotFound
from volume.branch import BranchTable, Row, entry_name
from volume.entry import END
from volume.recovery import NO_CONTAINER
from volume.site import Site
from volume.state import State


class LogEnd(NamedTuple):
    """The last committed entry, and the branches up to there (more than the state may know)."""

    position: int
    table: BranchTable


async def find_end(site: Site, state: State) -> LogEnd:
    """The end of a volume's log. It is true if the state has not changed meanwhile.

    Raises NotFound without a volume.
    """
    table = BranchTable(state.rows)
    low = max(state.newest.position, state.position, table.last.first - 1)
    window = site.tuning.window
    while True:
        row = table.last
        low = await _near_end(site, row, low)
        found = await asyncio.gather(
            *(site.recovery.entry(row, number) for number in range(low + 1, low + 1 + 3 * window))
        )
        for entry in found:
            if entry is None:
                return LogEnd(low, table)
            low = entry.sequence
            if entry.kind == END:
                table = table.extended(Row(low + 1, state.id, entry.successor))
                break


async def _near_end(site: Site, row: Row, low: int) -> int:
    """An entry that is committed, at most a few windows before the end."""
    window = site.tuning.window
    step = 2 * window
    while await _there(site, row, low + step):
        low += step - window
        step *= 2
    while step > 4 * window:
        half = step // 2
        if await _there(site, row, low + half):
            low += half - window
            step -= half - window
        else:
            step = half
    return low


async def _there(site: Site, row: Row, sequence: int) -> bool:
    try:
        await site.objects.find(row.volume, entry_name(row, sequence))
    except NotFound as error:
        if error.code == NO_CONTAINER:
            raise
        return False
    except Corrupt:
        return True
    return True
