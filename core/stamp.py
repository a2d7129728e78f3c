"""Ballots: hybrid logical timestamps that order every round on every register. Pure.

A ballot is 16 bytes, ordered as bytes: stage (4, the range's configuration), clock (8, microseconds,
never behind the wall clock nor behind anything seen), proposer (4, unique to one process run).
The stage is the most significant part, so that a fenced range outranks every older request.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

BALLOT = struct.Struct(">IQI")
BALLOT_BYTES = 16
ZERO = bytes(BALLOT_BYTES)


def make_ballot(stage: int, clock_us: int, proposer: int) -> bytes:
    """Pack a ballot."""
    return BALLOT.pack(stage, clock_us, proposer)


def stage_of(ballot: bytes) -> int:
    """The range stage a ballot belongs to."""
    return int.from_bytes(ballot[:4], "big")


def clock_of(ballot: bytes) -> int:
    """Clock part, microseconds."""
    return int.from_bytes(ballot[4:12], "big")


class HybridClock:
    """Strictly increasing microseconds that follow the wall clock and everything observed."""

    def __init__(self, wall_us: Callable[[], int], proposer: int) -> None:
        self._wall_us = wall_us
        self.proposer = proposer
        self.last_us = 0

    def tick(self) -> int:
        """Next clock value."""
        self.last_us = max(self.last_us + 1, self._wall_us())
        return self.last_us

    def observe(self, clock_us: int) -> None:
        """Never fall behind a value seen elsewhere."""
        self.last_us = max(self.last_us, clock_us)

    def ballot(self, stage: int) -> bytes:
        """A fresh ballot above all earlier ones of this stage."""
        return make_ballot(stage, self.tick(), self.proposer)
