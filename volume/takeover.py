"""Ending what an earlier attachment writes: an END entry in the first free place of its branch.

From then on nothing of the old branch beyond that place counts, whoever is still writing it: its own entry for the
place is refused. An END counts if no newer checkpoint had already passed its place: otherwise the place was free because
its entry had gone. The caller finds that out by swapping the state.
"""

from __future__ import annotations

from typing import NamedTuple

from core.errors import NotFound, PreconditionFailed, UnknownOutcome
from volume.branch import Row, entry_name
from volume.end import LogEnd
from volume.entry import END, Entry, encode_footer
from volume.site import Site

END_MARK = "end"
BRANCH_ID_BYTES = 8


class Closed(NamedTuple):
    """Entries after the end that was known, the last of them our END; and the row that follows."""

    entries: list[Entry]
    end: LogEnd


def new_branch(site: Site) -> str:
    """A name nobody has used."""
    return site.env.random_bytes(BRANCH_ID_BYTES).hex()


async def close_branch(site: Site, end: LogEnd, size: int) -> Closed:
    """Close the log after its last entry. Raises NotFound without a volume, Unavailable."""
    branch, table, position = new_branch(site), end.table, end.position
    entries: list[Entry] = []
    if "no-end" in site.tuning.broken:
        row = Row(position + 1, table.last.volume, branch)
        return Closed([], LogEnd(position, table.extended(row)))
    while True:
        row, sequence = table.last, position + 1
        ours = Entry(END, row.branch, sequence, site.env.wall_us(), size, successor=branch)
        there = await _put(site, row, ours)
        entries.append(there)
        position = sequence
        if there.kind != END:
            continue
        table = table.extended(Row(sequence + 1, row.volume, there.successor))
        if there.successor == branch:
            return Closed(entries, LogEnd(position, table))


async def _put(site: Site, row: Row, ours: Entry) -> Entry:
    """Put an END, or learn what is in its place."""
    name = entry_name(row, ours.sequence)
    while True:
        try:
            await site.objects.add(row.volume, name, encode_footer(ours), END_MARK)
            return ours
        except NotFound:
            raise NotFound("NoSuchVolume", f"there is no volume {row.volume}") from None
        except (PreconditionFailed, UnknownOutcome):
            there = await site.recovery.entry(row, ours.sequence)
            if there is not None:
                return there
