"""Which answers are enough: a strict majority of a range's replicas, or of both its sets while it moves. Pure.

Positions number the replicas that a round asks. While a range moves from an old set of replicas to a new
one, whatever is decided must be known to a majority of each, so that whoever asks either of them
later finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from core.frame import Frame
from objectd import wire


class Majority(NamedTuple):
    """`total` replicas are asked; `sets` are the positions of each replica set (one, or two)."""

    total: int
    sets: tuple[tuple[int, ...], ...]

    def of(self, positions: Collection[int]) -> bool:
        """These positions are a majority of every set."""
        if len(self.sets) == 1:
            return len(positions) * 2 > self.total
        return all(
            sum(position in positions for position in members) * 2 > len(members)
            for members in self.sets
        )

    def granted(self, replies: Mapping[int, Frame]) -> bool:
        """A majority of every set said yes."""
        if len(self.sets) == 1:
            count = 0
            for frame in replies.values():  # on every request's path: a plain loop costs least
                if frame.status == wire.OK:
                    count += 1
            return count * 2 > self.total
        return self.of([p for p, frame in replies.items() if frame.status == wire.OK])

    def shared(self, position: int) -> bool:
        """The replica counts in every set."""
        return all(position in members for members in self.sets)


def plain(count: int) -> Majority:
    """A strict majority of `count` replicas."""
    return Majority(count, (tuple(range(count)),))
