"""Ballots: hybrid logical timestamps that order every round on every register. Pure.

A ballot is 16 bytes, ordered as bytes: config (3, the epoch in which the replicas of the range last
changed), stage (3, how often the range was fenced), clock (7, microseconds, never behind the wall
clock nor behind anything seen), proposer (3, drawn by each process run). Config and stage are the most
significant parts, so that a range that has moved or was fenced outranks every older request.
"""

from __future__ import annotations

from collections.abc import Callable

BALLOT_BYTES = 16
CONFIG_MAX = STAGE_MAX = PROPOSER_MAX = 2**24 - 1
CLOCK_MAX_US = 2**56 - 1
ZERO = bytes(BALLOT_BYTES)


def make_ballot(stage: int, clock_us: int, proposer: int, config: int = 0) -> bytes:
    """Pack a ballot."""
    return ((((config << 24 | stage) << 56) | clock_us) << 24 | proposer).to_bytes(16, "big")


def config_of(ballot: bytes) -> int:
    """The epoch of the replica set a ballot is for."""
    return int.from_bytes(ballot[:3], "big")


def stage_of(ballot: bytes) -> int:
    """The range stage a ballot belongs to."""
    return int.from_bytes(ballot[3:6], "big")


def clock_of(ballot: bytes) -> int:
    """Clock part, microseconds."""
    return int.from_bytes(ballot[6:13], "big")


class HybridClock:
    """Strictly increasing microseconds that follow the wall clock and everything observed."""

    def __init__(self, wall_us: Callable[[], int], proposer: int) -> None:
        self._wall_us = wall_us
        self.proposer = proposer & PROPOSER_MAX
        self.last_us = 0

    def tick(self) -> int:
        """Next clock value."""
        self.last_us = max(self.last_us + 1, self._wall_us())
        return self.last_us

    def observe(self, clock_us: int) -> None:
        """Never fall behind a value seen elsewhere."""
        self.last_us = max(self.last_us, clock_us)

    def ballot(self, stage: int, config: int = 0) -> bytes:
        """A fresh ballot above all earlier ones of this config and stage."""
        return make_ballot(stage, self.tick(), self.proposer, config)
