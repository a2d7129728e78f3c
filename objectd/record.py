"""Records of the log: what is on disk, byte for byte (docs/formats/log.md). Pure.

header (48 bytes) | key | head | body. The checksum in the header covers header, key and head; the body
is covered by digests inside the head (registers) or by its block sums (blobs), so a record can be
trusted without reading a large body and a body can be verified in part.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import msgspec
import xxhash

from core.checksum import sums_match
from core.errors import Corrupt
from objectd.wire import BLOB_ID_BYTES, digest_of

MAGIC = b"RSLG"
VERSION = 1
# magic, kind, version, key bytes, head bytes, body bytes, wall clock (µs), reserved, checksum
HEADER = struct.Struct("<4sBBHIIQ8s16s")
HEADER_BYTES = HEADER.size
PIECE_BYTES = BLOB_ID_BYTES + 1  # key of a BLOB record
_UNSUMMED = HEADER_BYTES - 16

BLOB = 1
REGISTER = 2
CEILING = 3
FENCE = 4
DROP = 5
FLOOR = 10
FORGET = 11
GENERATION = 12
TOUCH = 13
GROUP = 6  # begins what is synced together; all before it was synced when it was written
DROP_PIECES = 16  # like DROP, of single fragments
KINDS = frozenset(
    {BLOB, REGISTER, CEILING, FENCE, DROP, GROUP, DROP_PIECES, FLOOR, FORGET, GENERATION, TOUCH}
)


class RegisterHead(msgspec.Struct, array_like=True, frozen=True):
    """Head of a REGISTER record; key = range id + name, body = summary + meta + inline."""

    ballot: bytes
    flags: int
    size: int
    expires_s: int
    digest: bytes
    summary_bytes: int
    meta_bytes: int


class BlobHead(msgspec.Struct, array_like=True, frozen=True):
    """Head of a BLOB record; key = blob id + fragment number."""

    owner: bytes
    total: int
    sums: bytes
    policy: int = 0
    stamp: int = 0


class RecordHeader(NamedTuple):
    """The decoded fixed header."""

    kind: int
    key_bytes: int
    head_bytes: int
    body_bytes: int
    wall_us: int
    checksum: bytes

    @property
    def total(self) -> int:
        """Bytes of the whole record on disk."""
        return HEADER_BYTES + self.key_bytes + self.head_bytes + self.body_bytes


class Place(NamedTuple):
    """Where a record begins in the log, and its length in bytes."""

    segment: int
    offset: int
    length: int


class ForgetHead(msgspec.Struct, array_like=True, frozen=True):
    """Head of a FORGET record; key = range id, then perhaps a limit as in DROP records."""

    rows: list[tuple[bytes, bytes]]


encode_head = msgspec.msgpack.Encoder().encode
decode_register_head = msgspec.msgpack.Decoder(RegisterHead).decode
decode_blob_head = msgspec.msgpack.Decoder(BlobHead).decode
decode_forget_head = msgspec.msgpack.Decoder(ForgetHead).decode


_LIMIT = struct.Struct("<IQ")


def encode_drop_limit(limit: Place) -> bytes:
    """Key of a DROP record that was written again later: it concerns only what lay before `limit`."""
    return _LIMIT.pack(limit.segment, limit.offset)


def drop_limit(key: bytes) -> Place | None:
    """Limit in the key of a DROP record, or behind the range in that of a FORGET record.

    None when it is the record's own place.
    """
    if not key:
        return None
    segment, offset = _LIMIT.unpack(key)
    return Place(segment, offset, 0)


def pieces_of(kind: int, head: bytes) -> list[bytes]:
    """Blob ids of a DROP record; blob ids and fragments of a DROP_PIECES record."""
    size = BLOB_ID_BYTES + (kind == DROP_PIECES)
    return [head[start : start + size] for start in range(0, len(head), size)]


def encode_prefix(kind: int, key: bytes, head: bytes, body_bytes: int, wall_us: int) -> bytes:
    """Header, key and head of a record; the body follows it in the log."""
    start = HEADER.pack(
        MAGIC, kind, VERSION, len(key), len(head), body_bytes, wall_us, bytes(8), bytes(16)
    )[:_UNSUMMED]
    checksum = xxhash.xxh3_128_digest(start + key + head)
    return b"".join((start, checksum, key, head))


def decode_header(data: bytes | memoryview) -> RecordHeader:
    """Decode a fixed header. Raises Corrupt when it cannot be one."""
    if len(data) < HEADER_BYTES:
        raise Corrupt("TornRecord", "the log ends inside a record header")
    magic, kind, version, key_bytes, head_bytes, body_bytes, wall_us, _, checksum = (
        HEADER.unpack_from(data)
    )
    if magic != MAGIC or version != VERSION or kind not in KINDS:
        raise Corrupt("NoRecord", "there is no record at this place")
    return RecordHeader(kind, key_bytes, head_bytes, body_bytes, wall_us, checksum)


def check_prefix(data: bytes | memoryview, header: RecordHeader) -> tuple[bytes, bytes]:
    """Key and head of a record whose header, key and head are at the start of `data`.

    Raises Corrupt when they do not match the checksum.
    """
    end = HEADER_BYTES + header.key_bytes + header.head_bytes
    if len(data) < end:
        raise Corrupt("TornRecord", "the log ends inside a record")
    view = memoryview(data)
    rest = bytes(view[HEADER_BYTES:end])
    if xxhash.xxh3_128_digest(bytes(view[:_UNSUMMED]) + rest) != header.checksum:
        raise Corrupt("BadChecksum", "a record's checksum does not match")
    return rest[: header.key_bytes], rest[header.key_bytes :]


def body_matches(header: RecordHeader, head: bytes, body: bytes | memoryview) -> bool:
    """True when the body agrees with what the head says of it."""
    if len(body) != header.body_bytes:
        return False
    if header.kind == REGISTER:
        return digest_of(body) == decode_register_head(head).digest
    if header.kind == BLOB:
        return sums_match(body, decode_blob_head(head).sums)
    return True
