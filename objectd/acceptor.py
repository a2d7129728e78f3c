"""The CASPaxos acceptor of a device: what it may promise, accept and answer. Pure.

Rules (checked by the register model and by the simulator, see ARCHITECTURE.md):
- a *prepare* is granted only above everything promised and held; an *accept* only at or above both;
- nothing is granted or accepted at or below the floor: after a restart the floor is the last synced
  ceiling, because promises themselves are kept in memory only;
- a grant needs a ceiling above its clock that is already on disk (`needs_ceiling`);
- requests of an older stage than the range has seen are refused as stale.
The caller applies an accept only once its record is on stable storage, and holds back other calls on the
same register until then.
"""

from __future__ import annotations

from core.limits import CEILING_AHEAD_US
from core.stamp import clock_of, make_ballot, stage_of

PROMISES_MAX = 65_536


class Acceptor:
    """Promises of one device. Ballots are 16 bytes, ordered as bytes; clocks are microseconds."""

    def __init__(self, floor_us: int) -> None:
        self.floor_us = floor_us
        self.ceiling_us = floor_us
        self._promised: dict[bytes, bytes] = {}

    def refusal(self, key: bytes, ballot: bytes, held: bytes) -> bytes | None:
        """Ballot in the way of a prepare at `ballot`, or None when it may be granted."""
        blocking = max(self._promised.get(key, b""), held)
        if ballot <= blocking:
            return blocking
        return self._below_floor(ballot)

    def accept_refusal(self, key: bytes, ballot: bytes, held: bytes) -> bytes | None:
        """Ballot in the way of an accept at `ballot`, or None when it may be stored."""
        blocking = max(self._promised.get(key, b""), held)
        if ballot < blocking:
            return blocking
        return self._below_floor(ballot)

    def _below_floor(self, ballot: bytes) -> bytes | None:
        if clock_of(ballot) <= self.floor_us:
            return make_ballot(stage_of(ballot), self.floor_us, 0xFFFFFFFF)
        return None

    def needs_ceiling(self, ballot: bytes) -> int | None:
        """Ceiling (µs) to sync before `ballot` may be promised, or None when it is covered."""
        clock_us = clock_of(ballot)
        return None if clock_us <= self.ceiling_us else clock_us + CEILING_AHEAD_US

    def wants_ceiling(self, clock_us: int) -> int | None:
        """Ceiling to sync ahead of need, so that no promise has to wait for the disk."""
        if clock_us + CEILING_AHEAD_US // 2 <= self.ceiling_us:
            return None
        return clock_us + CEILING_AHEAD_US

    def ceiling_synced(self, ceiling_us: int) -> None:
        """A ceiling is on disk."""
        self.ceiling_us = max(self.ceiling_us, ceiling_us)

    def promise(self, key: bytes, ballot: bytes) -> None:
        """Record a granted prepare. Old promises are folded into the floor when there are too many."""
        assert clock_of(ballot) <= self.ceiling_us
        self._promised[key] = ballot
        if len(self._promised) > PROMISES_MAX:
            for old_key in list(self._promised)[: PROMISES_MAX // 2]:
                old = self._promised.pop(old_key)
                self.floor_us = max(self.floor_us, clock_of(old))

    def accepting(self, key: bytes, ballot: bytes) -> None:
        """An accept was let in: nothing lower may be promised or accepted while it is written."""
        self._promised[key] = ballot

    def stored(self, key: bytes, ballot: bytes) -> None:
        """An accept is on disk; the record itself now carries the promise."""
        if self._promised.get(key, b"") <= ballot:
            self._promised.pop(key, None)
