"""What a register holds around a record: its recent lineage. Pure.

The lineage names the requests this version was built on, newest known last. A request's id is the
ballot of its first *accept*, so ids are unique and ordered in time. Ids leave the lineage smallest
first, and `floor` remembers the largest that left: a proposer that retries after an accept finds its own
id here (its write took effect), or an id at or below the floor (it cannot know), or neither (it did
not take effect). The floor of the range counts too: what it has passed may have been reclaimed.
"""

from __future__ import annotations

import msgspec

from core.limits import LINEAGE_MAX, LINEAGE_WINDOW_US
from core.stamp import ZERO, clock_of


class Envelope(msgspec.Struct, array_like=True, frozen=True):
    """`record` is msgpack of one of the record types, or nil for a tombstone."""

    floor: bytes
    lineage: tuple[bytes, ...]
    record: msgspec.Raw


EMPTY = Envelope(ZERO, (), msgspec.Raw(b"\xc0"))
NIL = b"\xc0"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Envelope).decode


def seal(envelope: Envelope) -> bytes:
    """Bytes of an envelope."""
    return _encode(envelope)


def unseal(meta: bytes | memoryview) -> Envelope:
    """Envelope of a register's meta; an absent register has an empty one. Raises msgspec.DecodeError."""
    return _decode(meta) if len(meta) else EMPTY


def raised(envelope: Envelope, floor: bytes) -> Envelope:
    """The envelope, its floor not below that of its range."""
    return msgspec.structs.replace(envelope, floor=floor) if floor > envelope.floor else envelope


def descend(
    parent: Envelope, request_id: bytes, record: bytes, *, lineage_max: int = LINEAGE_MAX
) -> Envelope:
    """Envelope of a new version: the parent's lineage and this request, trimmed by age and number."""
    ids = sorted({*parent.lineage, request_id})
    oldest_us = clock_of(ids[-1]) - LINEAGE_WINDOW_US
    keep = [known for known in ids if clock_of(known) >= oldest_us][-lineage_max:]
    floor = parent.floor
    if len(keep) < len(ids):
        floor = max(floor, ids[len(ids) - len(keep) - 1])
    return Envelope(floor, tuple(keep), msgspec.Raw(record))


def knows(envelope: Envelope, request_id: bytes) -> bool | None:
    """True: the request took effect; False: it did not; None: too long ago to tell."""
    if request_id in envelope.lineage:
        return True
    return None if request_id <= envelope.floor else False
