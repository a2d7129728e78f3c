"""The error tree: it says whose fault it is and what to do next. Pure.

Four families, translated into a protocol's own form only at the border:
`Refused` (the caller's fault, do not retry), `Unavailable` (retry elsewhere or later),
`Corrupt` (quarantine what was read), `Bug` (stop the process). Every error carries a stable code
from the lists below and a message that a person can act on.
"""

from __future__ import annotations


class RingstackError(Exception):
    """Root of the tree. `code` is stable and machine-readable, `message` is for a person."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or code)
        self.code = code
        self.message = message or code


class Refused(RingstackError):
    """The caller asked for something that cannot be done; asking again changes nothing."""


class NotFound(Refused):
    """The named thing does not exist (never did, was deleted, or has expired)."""


class Conflict(Refused):
    """The thing is in a state that forbids the change (exists already, not empty, in use)."""


class PreconditionFailed(Refused):
    """A condition of the request was decided and does not hold; the record it rests on is confirmed."""


class Unavailable(RingstackError):
    """Not enough healthy copies answered in time; nothing was promised, retry later."""


class UnknownOutcome(Unavailable):
    """A change was sent and may or may not take effect; only a later read can tell."""


class Full(Unavailable):
    """No device has room for the data (507); reads go on."""


class Stale(Unavailable):
    """The caller used an older stage of a range than its replicas have seen; refresh and retry."""

    def __init__(self, stage: int) -> None:
        super().__init__("Fenced", f"the range is fenced at stage {stage}")
        self.stage = stage


class Moved(Unavailable):
    """The range has other replicas than the caller's ring says; learn `epoch`, then ask again."""

    def __init__(self, epoch: int) -> None:
        super().__init__("Moved", f"the replicas of the range have changed by epoch {epoch}")
        self.epoch = epoch


class Corrupt(RingstackError):
    """Bytes do not verify; they are quarantined and another copy is used."""


class Bug(RingstackError):
    """An invariant of our own is broken; the process stops rather than guess."""
