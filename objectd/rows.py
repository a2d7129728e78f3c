"""Keys and values of the index (docs/formats/index.md). Pure.

The first byte of a key is its table:
R range name -> register row     E expiry range name -> (empty), ordered by time
B partition blob fragment -> blob row            S partition range -> statistics and stage
P policy partition fragment -> tally of pieces   Q partition -> tally of ranges
G segment -> living bytes                        M name -> device state
W generation number -> register row that was replaced while a sweep was under way

LMDB keys end at 511 bytes and names may have 1,024, so a longer name is cut and its hash appended; rows
whose keys share such a cut are put in order by their full names when they are listed.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import xxhash

from core.errors import Corrupt
from core.stamp import ZERO
from objectd import wire
from objectd.index import BAD_ROW
from objectd.record import Place

REGISTER_TABLE = b"R"
EXPIRY_TABLE = b"E"
BLOB_TABLE = b"B"
STATS_TABLE = b"S"
PIECE_TALLY_TABLE = b"P"
RANGE_TALLY_TABLE = b"Q"
SEGMENT_TABLE = b"G"
REPLACED_TABLE = b"W"
META_TABLE = b"M"

NAME_CUT_BYTES = 440  # keeps E keys (1 + 8 + 16 + cut + 1 + 16) below LMDB's 511
PARTITIONED_BYTES = 5  # table and partition, in keys that begin with them
CUT_MARK = b"\xff"  # never part of UTF-8, so cut keys sort after every name they begin with
META_IN_ROW_BYTES_MAX = 2048
ROW_SUM_BYTES = 8  # xxh3-64 at the end of a register row: it is what listings and small reads show
_DAMAGED = b"damaged here"
DAMAGED = 0x80  # a flag of our own: the record's body is lost, only its ballot is known

# ballot, flags, size, expires_s, digest, segment, offset, length, name, summary, meta, inline bytes
_REGISTER = struct.Struct(">16sBQQ16sIQIHHII")
_BLOB = struct.Struct(">IQIIIQHI?I")
_STATS = struct.Struct(">QQ16s16sQQ16s")
_TALLY = struct.Struct(">QQ16s")


class RegisterRow(NamedTuple):
    """What the index keeps of a register. `meta` is empty when it is only in the log."""

    ballot: bytes
    flags: int
    size: int
    expires_s: int
    digest: bytes
    place: Place
    summary_bytes: int
    meta_bytes: int
    inline_bytes: int
    name: bytes  # only of cut names, else empty
    summary: bytes
    meta: bytes

    @property
    def damaged(self) -> bool:
        """The body is lost; what is held is known only by its ballot."""
        return bool(self.flags & DAMAGED)

    @property
    def whole_bytes(self) -> int:
        """Length of summary + meta + inline."""
        return self.summary_bytes + self.meta_bytes + self.inline_bytes

    @property
    def body_offset(self) -> int:
        """Where summary + meta + inline begin in the segment."""
        return self.place.offset + self.place.length - self.whole_bytes


class BlobRow(NamedTuple):
    """What the index keeps of a blob: its record, its body, the length of its head, what it is part of."""

    place: Place
    head_bytes: int
    body_bytes: int
    wall_us: int
    policy: int
    total: int
    bad: bool = False  # it was found not to verify, and counts as missing
    stamp: int = 0  # generation in which it was written or touched


class StatsRow(NamedTuple):
    """Statistics and stage of a range."""

    live_count: int = 0
    size_bytes: int = 0
    digest: bytes = bytes(16)
    top: bytes = ZERO
    stage: int = 0
    held: int = 0  # registers, tombstones included
    floor: bytes = ZERO  # nothing at or below it is promised or accepted

    @property
    def empty(self) -> bool:
        """Nothing is held and nothing was fenced, as of a range never heard of."""
        return not (self.held or self.stage)


class Tally(NamedTuple):
    """A partition in short: pieces and their bytes, or ranges and their registers; and a digest of them."""

    members: int = 0
    size: int = 0
    digest: bytes = bytes(16)


def name_key(name: bytes) -> bytes:
    """A name as it stands in keys."""
    if len(name) <= NAME_CUT_BYTES:
        return name
    return name[:NAME_CUT_BYTES] + CUT_MARK + xxhash.xxh3_128_digest(name)


def register_key(range_id: bytes, name: bytes) -> bytes:
    """Key of a register; also its identity inside the acceptor."""
    return REGISTER_TABLE + range_id + name_key(name)


def expiry_key(expires_s: int, range_id: bytes, name: bytes) -> bytes:
    """Key of an expiry."""
    return EXPIRY_TABLE + expires_s.to_bytes(8, "big") + range_id + name_key(name)


def blob_prefix(partition: int, blob: bytes) -> bytes:
    """What the keys of all fragments of a blob begin with."""
    return BLOB_TABLE + partition.to_bytes(4, "big") + blob


def blob_key(partition: int, blob: bytes, fragment: int) -> bytes:
    """Key of a blob or fragment."""
    return blob_prefix(partition, blob) + bytes((fragment,))


def stats_key(partition: int, range_id: bytes) -> bytes:
    """Key of a range's statistics."""
    return STATS_TABLE + partition.to_bytes(4, "big") + range_id


def after_table(table: bytes) -> bytes:
    """First key beyond a table."""
    return bytes((table[0] + 1,))


def segment_key(number: int) -> bytes:
    """Key of a segment's living bytes."""
    return SEGMENT_TABLE + number.to_bytes(4, "big")


def piece_tally_key(policy: int, partition: int, fragment: int) -> bytes:
    """Key of the tally of one fragment number in a partition, 0 for replicas."""
    return PIECE_TALLY_TABLE + wire.piece_partition(policy, partition, fragment)


def range_tally_key(partition: int) -> bytes:
    """Key of the tally of a partition's ranges."""
    return RANGE_TALLY_TABLE + partition.to_bytes(4, "big")


def pack_register(row: RegisterRow) -> bytes:
    """Value of a register row, its checksum at the end."""
    value = (
        _REGISTER.pack(
            row.ballot,
            row.flags,
            row.size,
            row.expires_s,
            row.digest,
            row.place.segment,
            row.place.offset,
            row.place.length,
            len(row.name),
            row.summary_bytes,
            row.meta_bytes,
            row.inline_bytes,
        )
        + row.name
        + row.summary
        + row.meta
    )
    return value + xxhash.xxh3_64_digest(value)


def sound(value: bytes) -> bool:
    """A packed register row is what was packed."""
    return xxhash.xxh3_64_digest(value[:-ROW_SUM_BYTES]) == value[-ROW_SUM_BYTES:]


def unpack_register(value: bytes) -> RegisterRow:
    """The whole row. Raises Corrupt(BAD_ROW) when it is not what was packed."""
    if not sound(value):
        raise Corrupt(BAD_ROW, "a row of the index does not verify")
    (
        ballot,
        flags,
        size,
        expires_s,
        digest,
        segment,
        offset,
        length,
        name_bytes,
        summary_bytes,
        meta_bytes,
        inline_bytes,
    ) = _REGISTER.unpack_from(value)
    start = _REGISTER.size + name_bytes
    middle = start + summary_bytes
    return RegisterRow(
        ballot,
        flags,
        size,
        expires_s,
        digest,
        Place(segment, offset, length),
        summary_bytes,
        meta_bytes,
        inline_bytes,
        value[_REGISTER.size : start],
        value[start:middle],
        value[middle:-ROW_SUM_BYTES],
    )


def peek_ballot(value: bytes) -> bytes:
    """Ballot of a packed row, without unpacking the rest."""
    return value[:16]


def peek_flags(value: bytes) -> int:
    """Flags of a packed row."""
    return value[16]


_NAME_AT = struct.calcsize(">16sBQQ16sIQI")
_LENGTHS = struct.Struct(">HH")


def peek_name(value: bytes) -> bytes:
    """Full name of a cut row, else empty."""
    (name_bytes, _) = _LENGTHS.unpack_from(value, _NAME_AT)
    return value[_REGISTER.size : _REGISTER.size + name_bytes]


def peek_summary(value: bytes) -> bytes:
    """Summary of a packed row."""
    name_bytes, summary_bytes = _LENGTHS.unpack_from(value, _NAME_AT)
    start = _REGISTER.size + name_bytes
    return value[start : start + summary_bytes]


def pack_blob(row: BlobRow) -> bytes:
    """Value of a blob row."""
    return _BLOB.pack(
        row.place.segment,
        row.place.offset,
        row.place.length,
        row.head_bytes,
        row.body_bytes,
        row.wall_us,
        row.policy,
        row.total,
        row.bad,
        row.stamp,
    )


def unpack_blob(value: bytes) -> BlobRow:
    """The row."""
    segment, offset, length, *rest = _BLOB.unpack(value)
    return BlobRow(Place(segment, offset, length), *rest)


def pack_stats(row: StatsRow) -> bytes:
    """Value of a statistics row."""
    return _STATS.pack(*row)


def unpack_stats(value: bytes) -> StatsRow:
    """The row."""
    return StatsRow(*_STATS.unpack(value))


def pack_tally(row: Tally) -> bytes:
    """Value of a tally."""
    return _TALLY.pack(*row)


def unpack_tally(value: bytes) -> Tally:
    """The row."""
    return Tally(*_TALLY.unpack(value))


def fold(digest: bytes, *others: bytes) -> bytes:
    """XOR of 16-byte digests: order does not matter, and adding twice removes."""
    total = int.from_bytes(digest, "big")
    for other in others:
        total ^= int.from_bytes(other, "big")
    return total.to_bytes(16, "big")


def register_digest(name: bytes, ballot: bytes, *, damaged: bool = False) -> bytes:
    """What one register adds to its range's digest; a damaged one differs from all others."""
    return xxhash.xxh3_128_digest(name + ballot + _DAMAGED if damaged else name + ballot)


def piece_digest(blob: bytes) -> bytes:
    """What a blob adds to the digest of its partition, whichever of its fragments is held."""
    return xxhash.xxh3_128_digest(blob)


def range_digest(range_id: bytes, row: StatsRow) -> bytes:
    """What a range adds to the digest of its partition; nothing when it is as if it had never been."""
    if row.empty:
        return bytes(16)
    return xxhash.xxh3_128_digest(range_id + row.digest + row.stage.to_bytes(8, "big"))
