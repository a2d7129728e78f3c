"""Messages between the store client and objectd, and their codec. Pure.

The only file of `objectd` that others may import. Heads are msgpack arrays; bodies are raw bytes.
A register travels as three byte strings joined in the body: `summary` (what a listing shows), `meta`
(the whole record) and `inline` (a small object's bytes); the head carries their lengths and one
xxh3-128 digest over all three, made by whoever wrote them and verified at every border. Decoding refuses
(msgspec.ValidationError) whatever the formats on disk could not hold.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import xxhash

from core.limits import OBJECT_NAME_BYTES_MAX
from core.stamp import CONFIG_MAX, STAGE_MAX, ZERO

# operations
PREPARE = 1
ACCEPT = 2
READ = 3
FENCE = 4
LIST = 5
STATS = 6
EXPIRED = 7
RANGES = 8
PUT_BLOB = 10
GET_BLOB = 11
DROP_BLOBS = 12
BLOBS = 13
HAVE = 14
PARTITIONS = 15
RANGE_PARTITIONS = 16
DROP_PIECES = 17
DAMAGES = 18
SCRUB = 19
STATUS = 20
RING = 21
TELL_RING = 22
FORGET_RANGES = 23
FLOOR = 30
TOMBSTONES = 31
HOLDS = 32
RECLAIM = 33
GENERATION = 34
BEGIN_SWEEP = 35
NAMING = 36
END_SWEEP = 37
TOUCH = 38

# statuses of replies
OK = 0
REFUSED = 1  # a higher ballot is promised or held; head = Refusal
STALE = 2  # the range is fenced at a later stage; head = Refusal (ballot of that stage)
ABSENT = 3  # no such blob
FULL = 4  # no room
CORRUPT = 5  # the bytes here do not verify; use another copy
FAILED = 6  # the device failed or is read-only
BAD = 7  # the call itself is malformed
OLD_RING = 8  # the range has moved: the caller's ring is older than the one here (frame's epoch)
LATE = 10  # the blobs this record names were written too long ago: they may have been swept
NEW_RING = 9  # the caller's ring is newer than the one that is in force here: tell it, ask again

# record flags
LIVE = 1  # counts and lists
DAMAGED = 2  # in rows of a listing: only the ballot is known here
GONE = 4  # the record is a tombstone, which may be reclaimed one day
NAMES = 8  # the record names blobs

# how much of a register a call wants back
WANT_BALLOT = 0
WANT_META = 1
WANT_ALL = 2

ANY_CONFIG = CONFIG_MAX  # whatever replicas the range has by now; for background work
ANY_STAGE = STAGE_MAX

RANGE_BYTES = 16
BLOB_ID_BYTES = 16
NOTHING_NEW = 0xFFFFFFFF  # stamp of a record that names no blobs but those its parent named
NAME_BYTES_MAX = OBJECT_NAME_BYTES_MAX + 64  # parts and uploads add their ids
SUMMARY_BYTES_MAX = 0xFFFF

Id = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]  # ids, ballots, digests
Name = Annotated[bytes, msgspec.Meta(max_length=NAME_BYTES_MAX)]
Byte = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
Short = Annotated[int, msgspec.Meta(ge=0, le=SUMMARY_BYTES_MAX)]
Word = Annotated[int, msgspec.Meta(ge=0, le=0xFFFFFFFF)]
Count = Annotated[int, msgspec.Meta(ge=0)]
After = Annotated[
    bytes, msgspec.Meta(max_length=17)
]  # an id, and perhaps a fragment; empty = start


class Prepare(msgspec.Struct, array_like=True, frozen=True):
    """Promise `ballot` for a register, and tell what is held. `generation`: the highest heard of."""

    range_id: Id
    name: Name
    ballot: Id
    want: Byte
    generation: Word = 0


class Held(msgspec.Struct, array_like=True, frozen=True):
    """What a replica holds. An absent register has ballot ZERO. Body: summary + meta + inline as wanted.

    `floor`: the range's (empty: none): what was accepted at or below it may have been reclaimed.
    `generation`: the device's.
    """

    ballot: bytes = ZERO
    flags: int = 0
    size: int = 0
    expires_s: int = 0
    digest: bytes = b""
    summary_bytes: int = 0
    meta_bytes: int = 0
    inline_bytes: int = 0
    floor: bytes = b""
    generation: int = 0


class Accept(msgspec.Struct, array_like=True, frozen=True):
    """Store a record at `ballot`. Body: summary + meta + inline.

    `chosen`: a majority is known to hold exactly this record, so promises cannot stand in its way, and
    to have held it when the range had this `floor`. Of a record that names blobs: `basis` is the generation
    of the device from which its parent was read, `stamp` the lowest of the blobs it names anew.
    """

    range_id: Id
    name: Name
    ballot: Id
    flags: Byte
    size: Count
    expires_s: Count
    digest: Id
    summary_bytes: Short
    meta_bytes: Count
    chosen: bool = False
    floor: bytes = b""
    basis: Word = 0
    stamp: Word = NOTHING_NEW


class Refusal(msgspec.Struct, array_like=True, frozen=True):
    """The ballot that stands in the way: promised, held, or the floor after a restart."""

    ballot: bytes


class Read(msgspec.Struct, array_like=True, frozen=True):
    """Read a register at a stage. `config` is the epoch since which the caller's replica set stands."""

    range_id: Id
    name: Name
    stage: Word
    want: Byte
    config: Word


class Fence(msgspec.Struct, array_like=True, frozen=True):
    """Refuse everything below `stage` in this range from now on, durably."""

    range_id: Id
    stage: Word
    config: Word


class Floor(msgspec.Struct, array_like=True, frozen=True):
    """Promise and accept nothing at or below `floor` in this range from now on, durably."""

    range_id: Id
    config: Word
    floor: Id


class TombstonesCall(msgspec.Struct, array_like=True, frozen=True):
    """Tombstones of a range with ballots up to `upto`, from where the page before ended (`after`)."""

    range_id: Id
    config: Word
    after: bytes
    upto: Id


class Tombstones(msgspec.Struct, array_like=True, frozen=True):
    """Names and ballots, in no order; `after` is empty at the end of the range."""

    rows: list[tuple[bytes, bytes]]
    after: bytes


class RowsCall(msgspec.Struct, array_like=True, frozen=True):
    """Names of a range with their ballots: HOLDS asks whether just these are held, RECLAIM ends them.

    A replica forgets a name only if it holds a tombstone at just that ballot, not above the range's floor.
    """

    range_id: Id
    config: Word
    rows: list[tuple[Name, Id]]


class ListCall(msgspec.Struct, array_like=True, frozen=True):
    """Names of a range in byte order. Bounds are exclusive; empty means none.

    `digest_only`: answer with the digest of the page, to confirm another replica's.
    `dead`: tombstones too (to merge replicas that differ); then `delimiter` must be empty.
    `known`: the digest of a page the caller has; the answer has no rows when it is still the same.
    """

    range_id: Id
    stage: Word
    config: Word
    prefix: bytes
    delimiter: bytes
    marker: bytes
    end_marker: bytes
    limit: Count
    reverse: bool
    digest_only: bool = False
    dead: bool = False
    known: bytes = b""


S = TypeVar("S")


class Row(msgspec.Struct, Generic[S], array_like=True, frozen=True, gc=False):
    """One name. A common prefix has `witness` set: the first live name under it, whose ballot this is.

    `summary` is opaque here (nil for tombstones and common prefixes); readers name its type.
    """

    name: str
    ballot: bytes
    flags: int
    summary: S | None
    witness: str = ""


class Page(msgspec.Struct, Generic[S], array_like=True, frozen=True):
    """Rows in order of travel, whether more follow, and the digest of (name, ballot) of all rows."""

    rows: list[Row[S]]
    truncated: bool
    digest: bytes


class StatsCall(msgspec.Struct, array_like=True, frozen=True):
    """Statistics of ranges, and the config of each."""

    range_ids: list[Id]
    configs: list[Word]


class RangeStats(msgspec.Struct, array_like=True, frozen=True):
    """Live registers and their sizes; `digest` (16 bytes) folds every (name, ballot) held.

    `held` counts tombstones too. Nothing at or below `floor` is promised or accepted any more.
    """

    count: int
    size_bytes: int
    digest: bytes
    top: bytes
    stage: int = 0
    held: int = 0
    floor: bytes = ZERO


class ExpiredCall(msgspec.Struct, array_like=True, frozen=True):
    """Registers whose expiry lies before `before_s`."""

    before_s: Count
    limit: Count


class ExpiredRow(msgspec.Struct, array_like=True, frozen=True):
    """One of them; `stage` is the range's."""

    range_id: bytes
    name: bytes
    ballot: bytes
    stage: int


class RangesCall(msgspec.Struct, array_like=True, frozen=True):
    """Ranges that a device knows, in the order of (partition, id), after one of them.

    `partition`: only those of one.
    """

    after: After
    limit: Count
    partition: Word | None = None


class RangeRow(msgspec.Struct, array_like=True, frozen=True):
    """One of them: the digest of every (name, ballot) held, and its stage."""

    range_id: bytes
    digest: bytes
    stage: int
    floor: bytes = ZERO


class BlobsCall(msgspec.Struct, array_like=True, frozen=True):
    """Blobs that a device holds, in the order of (partition, id, fragment), after one of them.

    `partition`, `policy`: only those of one. `bad`: also those that were found not to verify.
    """

    after: After
    limit: Count
    partition: Word | None = None
    policy: Short | None = None
    bad: bool = False


class BlobRow(msgspec.Struct, array_like=True, frozen=True):
    """One of them; `total` is the length of its whole stripe, `size` that of the piece."""

    blob: bytes
    fragment: int
    policy: int
    total: int
    size: int
    stamp: int = 0


class PartitionsCall(msgspec.Struct, array_like=True, frozen=True):
    """What a device holds of each partition, in order, after a row's key (empty = from the start)."""

    after: Annotated[bytes, msgspec.Meta(max_length=7)]
    limit: Count


class PiecesRow(msgspec.Struct, array_like=True, frozen=True):
    """The pieces of one fragment number (0 for replicas) that a device holds of a partition.

    `digest` folds the blob ids, so it is the same on every device that holds a piece of the same blobs.
    """

    policy: int
    partition: int
    fragment: int
    pieces: int
    size_bytes: int
    digest: bytes

    @property
    def key(self) -> bytes:
        """Where the next page goes on."""
        return piece_partition(self.policy, self.partition, self.fragment)


class RangesOfRow(msgspec.Struct, array_like=True, frozen=True):
    """The index ranges that a device holds of a partition; `digest` folds their ids, digests and stages."""

    partition: int
    ranges: int
    registers: int
    digest: bytes

    @property
    def key(self) -> bytes:
        """Where the next page goes on."""
        return self.partition.to_bytes(4, "big")


class HaveCall(msgspec.Struct, array_like=True, frozen=True):
    """Which of these (blob, fragment) pairs does the device hold?"""

    pieces: list[tuple[Id, Byte]]


class PutBlob(msgspec.Struct, array_like=True, frozen=True):
    """Store a blob (or one fragment of it). `sums`: xxh3-128 of each 64 KiB block of the body, joined.

    `owner` is the index range the blob was written for; `total` the length of the whole stripe;
    `policy` says how many pieces it has and where they belong; `stamp` is the highest generation heard of.
    """

    blob: Id
    fragment: Byte
    owner: bytes
    total: Word
    sums: bytes
    policy: Short = 0
    stamp: Word = 0


class GetBlob(msgspec.Struct, array_like=True, frozen=True):
    """Read bytes of a blob; the answer is widened to whole blocks."""

    blob: Id
    fragment: Byte
    start: Count
    length: Count


class BlobBytes(msgspec.Struct, array_like=True, frozen=True):
    """Where the returned bytes begin, the blob's length here, the stripe's total, and their blocks' sums.

    `owner`: as it was put. `stamp`: the generation in which it was written or touched.
    """

    start: int
    size: int
    total: int
    sums: bytes
    owner: bytes = b""
    stamp: int = 0


class DropBlobs(msgspec.Struct, array_like=True, frozen=True):
    """Forget these blobs (all fragments of them held here).

    `below`: only those whose pieces here were all written and touched before that generation; 0 = all.
    """

    blobs: list[Id]
    below: Word = 0


class GenerationState(msgspec.Struct, array_like=True, frozen=True):
    """A device's generation, when it rose (µs by its own clock), and whether it knows what it held then."""

    number: int
    begun_us: int
    whole: bool


class SweepCall(msgspec.Struct, array_like=True, frozen=True):
    """Raise the generation, or end the pass of one."""

    number: Annotated[int, msgspec.Meta(ge=1, le=0xFFFFFFFF)]


class NamingCall(msgspec.Struct, array_like=True, frozen=True):
    """Records that name blobs, of those held when the generation rose; `replaced`: of those replaced since.

    Number 0: just those held now, whenever that is.
    """

    number: Word
    replaced: bool
    after: bytes


class NamingRow(msgspec.Struct, array_like=True, frozen=True):
    """A record that names blobs; no name of one that was replaced."""

    range_id: bytes
    name: bytes
    ballot: bytes
    meta: bytes


class Naming(msgspec.Struct, array_like=True, frozen=True):
    """Rows in the order of their keys; `after` is empty at the end."""

    rows: list[NamingRow]
    after: bytes


class TouchCall(msgspec.Struct, array_like=True, frozen=True):
    """Stamp these blobs with the current generation: a record is about to name them."""

    blobs: list[Id]


class DropPieces(msgspec.Struct, array_like=True, frozen=True):
    """Forget these (blob, fragment) pairs."""

    pieces: list[tuple[Id, Byte]]


class DamagesCall(msgspec.Struct, array_like=True, frozen=True):
    """What was found not to verify on a device, and has not been replaced yet."""

    limit: Count


class ScrubCall(msgspec.Struct, array_like=True, frozen=True):
    """Let a round of the scrub begin now; a rate above zero holds from now on."""

    rate_bytes_s: Count = 0


class LostPiece(msgspec.Struct, array_like=True, frozen=True):
    """A piece that was held, and of which stripe (length `total`)."""

    blob: bytes
    fragment: int
    policy: int
    total: int


class LostRegister(msgspec.Struct, array_like=True, frozen=True):
    """A register of which only the ballot is still known."""

    range_id: bytes
    name: bytes


class Damages(msgspec.Struct, array_like=True, frozen=True):
    """Some of them, each time others."""

    pieces: list[LostPiece]
    registers: list[LostRegister]


class ForgetRanges(msgspec.Struct, array_like=True, frozen=True):
    """Forget the ranges of a partition, if they are not the device's by the ring of `epoch` or a later one."""

    partition: Word
    epoch: Word


class RingCall(msgspec.Struct, array_like=True, frozen=True):
    """Give me your ring if its number is above this one."""

    newer_than: Word


class DeviceStatus(msgspec.Struct, array_like=True, frozen=True):
    """One device in numbers (bytes and counts).

    `client_calls`: to its process, since it started, background work left out. `damaged`: records found bad and
    not replaced yet. `scrubbed`: share of the log read in this round of the scrub, and `scrub_rounds` whole ones.
    """

    device: int
    path: str
    free_bytes: int
    log_bytes: int
    live_bytes: int
    blob_count: int
    register_count: int
    segments: int
    writable: bool
    client_calls: int = 0
    damaged: int = 0
    scrubbed: float = 0.0
    scrub_rounds: int = 0


def piece_partition(policy: int, partition: int, fragment: int) -> bytes:
    """Policy (2 bytes), partition (4), fragment (1): the order of `PARTITIONS`."""
    return policy.to_bytes(2, "big") + partition.to_bytes(4, "big") + bytes((fragment,))


def digest_of(*parts: bytes | memoryview) -> bytes:
    """xxh3-128 over the parts in order, 16 bytes."""
    if len(parts) == 1:
        return xxhash.xxh3_128_digest(parts[0])
    state = xxhash.xxh3_128()
    for part in parts:
        state.update(part)
    return state.digest()


_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
decode_prepare = msgspec.msgpack.Decoder(Prepare).decode
decode_held = msgspec.msgpack.Decoder(Held).decode
decode_accept = msgspec.msgpack.Decoder(Accept).decode
decode_refusal = msgspec.msgpack.Decoder(Refusal).decode
decode_read = msgspec.msgpack.Decoder(Read).decode
decode_fence = msgspec.msgpack.Decoder(Fence).decode
decode_floor = msgspec.msgpack.Decoder(Floor).decode
decode_tombstones_call = msgspec.msgpack.Decoder(TombstonesCall).decode
decode_tombstones = msgspec.msgpack.Decoder(Tombstones).decode
decode_rows = msgspec.msgpack.Decoder(RowsCall).decode
decode_generation = msgspec.msgpack.Decoder(GenerationState).decode
decode_sweep = msgspec.msgpack.Decoder(SweepCall).decode
decode_naming_call = msgspec.msgpack.Decoder(NamingCall).decode
decode_naming = msgspec.msgpack.Decoder(Naming).decode
decode_touch = msgspec.msgpack.Decoder(TouchCall).decode
decode_stamps = msgspec.msgpack.Decoder(list[int | None]).decode
decode_count = msgspec.msgpack.Decoder(int).decode
decode_list = msgspec.msgpack.Decoder(ListCall).decode
decode_stats_call = msgspec.msgpack.Decoder(StatsCall).decode
decode_stats = msgspec.msgpack.Decoder(list[RangeStats]).decode
decode_expired_call = msgspec.msgpack.Decoder(ExpiredCall).decode
decode_expired = msgspec.msgpack.Decoder(list[ExpiredRow]).decode
decode_ranges_call = msgspec.msgpack.Decoder(RangesCall).decode
decode_ranges = msgspec.msgpack.Decoder(list[RangeRow]).decode
decode_blobs_call = msgspec.msgpack.Decoder(BlobsCall).decode
decode_blobs = msgspec.msgpack.Decoder(list[BlobRow]).decode
decode_partitions_call = msgspec.msgpack.Decoder(PartitionsCall).decode
decode_pieces = msgspec.msgpack.Decoder(list[PiecesRow]).decode
decode_ranges_of = msgspec.msgpack.Decoder(list[RangesOfRow]).decode
decode_have_call = msgspec.msgpack.Decoder(HaveCall).decode
decode_have = msgspec.msgpack.Decoder(list[bool]).decode
decode_put_blob = msgspec.msgpack.Decoder(PutBlob).decode
decode_get_blob = msgspec.msgpack.Decoder(GetBlob).decode
decode_blob_bytes = msgspec.msgpack.Decoder(BlobBytes).decode
decode_drop = msgspec.msgpack.Decoder(DropBlobs).decode
decode_drop_pieces = msgspec.msgpack.Decoder(DropPieces).decode
decode_scrub_call = msgspec.msgpack.Decoder(ScrubCall).decode
decode_damages_call = msgspec.msgpack.Decoder(DamagesCall).decode
decode_damages = msgspec.msgpack.Decoder(Damages).decode
decode_forget_ranges = msgspec.msgpack.Decoder(ForgetRanges).decode
decode_ring_call = msgspec.msgpack.Decoder(RingCall).decode
decode_status = msgspec.msgpack.Decoder(list[DeviceStatus]).decode


@lru_cache(maxsize=16)
def page_decoder(summary: type) -> Any:
    """Decoder of pages whose summaries are of the given type."""
    return msgspec.msgpack.Decoder(Page[summary])  # type: ignore[valid-type]


def _string_head(length: int) -> bytes:
    """Msgpack's header of a string of that many bytes."""
    if length < 32:
        return bytes((0xA0 | length,))
    return b"\xd9" + bytes((length,)) if length < 256 else b"\xda" + length.to_bytes(2, "big")


_ROW_HEADS = [b"\x94" + _string_head(length) for length in range(1200)]
_BALLOT_HEAD = b"\xc4\x10"
_NIL = b"\xc0"


def encode_row(name: bytes, ballot: bytes, flags: int, summary: bytes, witness: bytes) -> bytes:
    """A `Row` in msgpack, put together from bytes that are msgpack already.

    Ten thousand of these make a listing: this is three times as fast as building and encoding structs.
    """
    if witness:
        head = b"\x95" + _string_head(len(name))
        tail = _NIL + _string_head(len(witness)) + witness
        return b"".join((head, name, _BALLOT_HEAD, ballot, bytes((flags,)), tail))
    return b"".join(
        (_ROW_HEADS[len(name)], name, _BALLOT_HEAD, ballot, bytes((flags,)), summary or _NIL)
    )


def digest_of_page(page: bytes) -> bytes:
    """Digest of an encoded page."""
    return page[-16:]


def without_rows(page: bytes) -> bytes:
    """The same encoded page with its rows left out."""
    return encode_page([], truncated=page[-19] == 0xC3, digest=digest_of_page(page))


def encode_page(encoded_rows: list[bytes], *, truncated: bool, digest: bytes) -> bytes:
    """A `Page` of encoded rows."""
    head = b"\x93\xdd" + len(encoded_rows).to_bytes(4, "big")
    tail = (b"\xc3" if truncated else b"\xc2") + b"\xc4\x10" + digest
    return b"".join((head, *encoded_rows, tail))
