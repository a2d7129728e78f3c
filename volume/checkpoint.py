"""Checkpoint objects: leaves of a map with a root at the end, or the footers of entries. Pure.

A *base* has the leaves that changed since the base before it, then a root that says where every leaf of the map is, in
which object. A *delta* has the footers of the entries since the checkpoint before it: little for writes that are
scattered thinly. Trailer of both: length and checksum of the root (of a delta: everything before it).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from core.errors import Corrupt
from volume.entry import Entry, decode_footer, encode_footer
from volume.state import Part

_TRAILER = struct.Struct("<4sIQ")
TRAILER_BYTES = _TRAILER.size
BASE, DELTA = b"RSVB", b"RSVD"
LEAF_ROW = np.dtype([("leaf", "<u4"), ("part", "<u4"), ("start", "<u8"), ("length", "<u4")])


class Place(NamedTuple):
    """Where a leaf is stored."""

    part: Part
    start: int
    length: int


class Root(msgspec.Struct, array_like=True, frozen=True):
    """What a base says beside its leaves."""

    position: int
    size: int
    time_us: int
    leaf_blocks: int
    parts: tuple[Part, ...]
    leaves: bytes  # rows of LEAF_ROW
    ledger: bytes

    def places(self) -> dict[int, Place]:
        """Where every leaf is. Raises Corrupt."""
        if len(self.leaves) % LEAF_ROW.itemsize:
            raise _bad("has half a row")
        rows: NDArray[np.void] = np.frombuffer(self.leaves, LEAF_ROW)
        found = {}
        for leaf, part, start, length in rows.tolist():
            if part >= len(self.parts):
                raise _bad("names a part that it does not have")
            found[leaf] = Place(self.parts[part], start, length)
        return found


def pack_places(places: Mapping[int, Place]) -> tuple[tuple[Part, ...], bytes]:
    """Parts, and rows that refer to them by number."""
    numbers: dict[Part, int] = {}
    rows = [
        (leaf, numbers.setdefault(at.part, len(numbers)), at.start, at.length)
        for leaf, at in sorted(places.items())
    ]
    return tuple(numbers), np.array(rows, dtype=LEAF_ROW).tobytes()


def encode_root(root: Root) -> bytes:
    """Root and trailer: the end of a base."""
    raw = msgspec.msgpack.encode(root)
    return raw + _TRAILER.pack(BASE, len(raw), xxhash.xxh3_64_intdigest(raw))


def root_bytes(tail: bytes | memoryview) -> int:
    """Length of the root with its trailer that ends here. Raises Corrupt("BadCheckpoint")."""
    if len(tail) < _TRAILER.size:
        raise _bad("is cut short")
    magic, length, _ = _TRAILER.unpack_from(tail, len(tail) - _TRAILER.size)
    if magic != BASE:
        raise _bad("is no base")
    return int(length) + _TRAILER.size


_decoder = msgspec.msgpack.Decoder(Root)


def decode_root(tail: bytes | memoryview) -> Root:
    """Raises Corrupt("BadCheckpoint")."""
    raw = _verified(tail, BASE)
    try:
        return _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _bad(f"does not decode: {error}") from None


def _verified(tail: bytes | memoryview, wanted: bytes) -> bytes:
    if len(tail) < _TRAILER.size:
        raise _bad("is cut short")
    magic, length, digest = _TRAILER.unpack_from(tail, len(tail) - _TRAILER.size)
    end = len(tail) - _TRAILER.size
    raw = bytes(tail[max(0, end - length) : end])
    if magic != wanted or len(raw) != length or xxhash.xxh3_64_intdigest(raw) != digest:
        raise _bad("does not verify")
    return raw


def encode_delta(entries: Sequence[Entry]) -> bytes:
    """All of a delta."""
    footers = [encode_footer(entry) for entry in entries]
    raw = b"".join(struct.pack("<I", len(footer)) + footer for footer in footers)
    return raw + _TRAILER.pack(DELTA, len(raw), xxhash.xxh3_64_intdigest(raw))


def decode_delta(raw: bytes | memoryview) -> Iterator[Entry]:
    """Its entries. Raises Corrupt("BadCheckpoint" | "BadEntry")."""
    body = _verified(raw, DELTA)
    at = 0
    while at < len(body):
        if at + 4 > len(body):
            raise _bad("has half an entry")
        (length,) = struct.unpack_from("<I", body, at)
        if not length or at + 4 + length > len(body):
            raise _bad("has half an entry")
        yield decode_footer(memoryview(body)[at + 4 : at + 4 + length])
        at += 4 + length


def _bad(what: str) -> Corrupt:
    return Corrupt("BadCheckpoint", f"a checkpoint {what}")
