"""Which volume and branch an entry of a log belongs to. Pure.

Sequence numbers go on through take-overs and clones, so a number alone names an entry: the row of the table with the
largest first number at or below it says in which volume and on which branch it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from core.errors import Bug


class Row(msgspec.Struct, array_like=True, frozen=True):
    """From entry `first` on the log is in `volume` on `branch`."""

    first: int
    volume: str
    branch: str


class BranchTable:
    """Rows by their first number."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = list(rows)
        self._firsts = [row.first for row in rows]
        if not rows or self._firsts != sorted(set(self._firsts)):
            raise Bug("BadBranches", "the branches of a log are not in order")

    @property
    def rows(self) -> tuple[Row, ...]:
        """All of them."""
        return tuple(self._rows)

    @property
    def last(self) -> Row:
        """Where the log goes on."""
        return self._rows[-1]

    def row(self, sequence: int) -> Row:
        """Where an entry is."""
        at = bisect_right(self._firsts, sequence) - 1
        if at < 0:
            raise Bug("BadBranches", f"entry {sequence} is before the log")
        return self._rows[at]

    def end_of(self, sequence: int) -> int | None:
        """The last number of the row of an entry; None for the row that is still growing."""
        at = bisect_right(self._firsts, sequence)
        return self._firsts[at] - 1 if at < len(self._firsts) else None

    def until(self, position: int) -> tuple[Row, ...]:
        """Rows that entries up to a position are in."""
        return tuple(row for row in self._rows if row.first <= position)

    def extended(self, row: Row) -> BranchTable:
        """Another branch follows. An empty last branch gives way."""
        kept = [one for one in self._rows if one.first < row.first]
        return BranchTable([*kept, row])


def entry_name(row: Row, sequence: int) -> str:
    """Name of the object of an entry inside its volume."""
    return f"log/{row.branch}/{sequence:012x}"


def branch_prefix(branch: str) -> str:
    """What the names of all entries of a branch begin with."""
    return f"log/{branch}/"
