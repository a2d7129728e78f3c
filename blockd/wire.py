"""Calls to the block daemon of a node, over the frames of `core.link`. Pure.

Heads are msgpack. Every verb may be repeated. A failure carries the code and message of the error that it was.
"""

from __future__ import annotations

import msgspec

from blockd.port import ExportInfo, Limits
from core.errors import Conflict, Corrupt, Full, NotFound, Refused, RingstackError, Unavailable

# operations
OPEN = 80
CLOSE = 81
FLUSH = 82
RESIZE = 83
SNAPSHOT = 84
LIST = 85

# statuses of replies
OK = 0
FAILED = 6
BAD = 7  # the call is malformed

_FAMILIES: tuple[type[RingstackError], ...] = (
    NotFound,
    Conflict,
    Refused,
    Full,
    Unavailable,
    Corrupt,
)


class OpenCall(msgspec.Struct, frozen=True):
    """Serve a volume, a snapshot of it, or its state at a time (µs since 1970), under a name."""

    name: str
    volume_id: str
    read_only: bool = False
    snapshot_id: str = ""
    time_us: int = 0
    limits: Limits = Limits()


class OpenReply(msgspec.Struct, frozen=True):
    """Where it is served."""

    info: ExportInfo


class CloseCall(msgspec.Struct, frozen=True):
    """Serve it no longer."""

    name: str


class FlushCall(msgspec.Struct, frozen=True):
    """Make durable what the clients of these volumes have written; those not served here are left alone."""

    volume_ids: tuple[str, ...]


class ResizeCall(msgspec.Struct, frozen=True):
    """Grow a volume, served or not."""

    volume_id: str
    size: int


class SnapshotCall(msgspec.Struct, frozen=True):
    """One cut through several volumes: (volume id, snapshot id) pairs."""

    pairs: tuple[tuple[str, str], ...]


class ExportRow(msgspec.Struct, frozen=True):
    """An export as `ringstack volume exports` shows it."""

    name: str
    volume_id: str
    read_only: bool
    size: int
    clients: int
    unix_socket: str


class ListReply(msgspec.Struct, frozen=True):
    """All exports of a node."""

    exports: tuple[ExportRow, ...]


class Failure(msgspec.Struct, frozen=True):
    """An error of `core.errors`: its family, code and message."""

    family: str
    code: str
    message: str


def failure_of(error: RingstackError) -> Failure:
    """An error as it travels."""
    family = next((one for one in _FAMILIES if isinstance(error, one)), Unavailable)
    return Failure(family.__name__, error.code, error.message)


def error_of(failure: Failure) -> RingstackError:
    """The error again."""
    family = next((one for one in _FAMILIES if one.__name__ == failure.family), Unavailable)
    return family(failure.code, failure.message)
