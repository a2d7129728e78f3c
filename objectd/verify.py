"""A device against itself: every row of its index leads to its record, every count is what is counted.

Findings are pairs of a kind (`log`, `bad`, `count`) and a text. Reads every record's header, key and head, and
the bodies of registers; bodies of blobs too when `deep`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from core.errors import Corrupt
from core.stamp import ZERO
from objectd import record as records
from objectd import rows, wire
from objectd.device import Device
from objectd.index import Index
from objectd.record import Place
from objectd.rows import BlobRow, RegisterRow, StatsRow, Tally

Found = tuple[str, str]
SHOWN_MAX = 20
UNCOMPARED = (
    b"Mposition",
    b"Mceiling",
    b"Mgeneration",
)  # they depend on when the index was written


def verify_device(device: Device, *, deep: bool) -> Iterator[Found]:
    """Everything that is wrong with a device."""
    device.flush_stats()
    yield from _segments(device)
    living: dict[int, int] = defaultdict(int)
    yield from _registers(device, living)
    yield from _blobs(device, living, deep=deep)
    yield from _expiries(device)
    for number in device.log.segments:
        if device.segment_live(number) != living[number]:
            said = device.segment_live(number)
            yield "count", f"segment {number}: {said} bytes said to live, {living[number]} do"


def _segments(device: Device) -> Iterator[Found]:
    """Walk every segment from its first byte: each record follows the one before it."""
    for number in device.log.segments:
        try:
            for _ in device.log.scan(number):
                pass
        except (Corrupt, OSError) as error:
            text = error.message if isinstance(error, Corrupt) else str(error)
            yield "log", f"segment {number}: {text}"


def _prefix(device: Device, place: Place, body_bytes: int) -> tuple[bytes, bytes]:
    """Key and head of the record at a place. Raises Corrupt, OSError."""
    raw = device.log.read_record(Place(place.segment, place.offset, place.length - body_bytes))
    return records.check_prefix(raw, records.decode_header(raw))


def _registers(device: Device, living: dict[int, int]) -> Iterator[Found]:
    counted: dict[bytes, StatsRow] = defaultdict(StatsRow)
    for key, value in device.index.scan(rows.REGISTER_TABLE, b"S"):
        row = rows.unpack_register(value)
        range_id, name = key[1:17], row.name or key[17:]
        living[row.place.segment] += row.place.length
        digest = rows.register_digest(name, row.ballot, damaged=row.damaged)
        one = counted[range_id]
        live = bool(row.flags & wire.LIVE)
        counted[range_id] = one._replace(
            live_count=one.live_count + live,
            size_bytes=one.size_bytes + live * row.size,
            digest=rows.fold(one.digest, digest),
            held=one.held + 1,
        )
        problem = "its body is lost" if row.damaged else _register_problem(device, key, row)
        if problem:
            yield "bad", f"register {name!r} of range {range_id.hex()}: {problem}"
    yield from _statistics(device, counted)


def _register_problem(device: Device, key: bytes, row: RegisterRow) -> str:
    """What is wrong with the record behind a row, or nothing."""
    try:
        logged, packed = _prefix(device, row.place, row.whole_bytes)
        head = records.decode_register_head(packed)
        where = Place(row.place.segment, row.body_offset, row.whole_bytes)
        body = device.log.read_record(where)
    except (Corrupt, OSError) as error:
        return str(error)
    if logged != key[1:17] + (row.name or key[17:]) or head.ballot != row.ballot:
        return "its row points at another record"
    return "" if wire.digest_of(body) == row.digest == head.digest else "its body does not verify"


def _statistics(device: Device, counted: dict[bytes, StatsRow]) -> Iterator[Found]:
    total = sum(one.held for one in counted.values())
    if device.register_count != total:
        yield "count", f"{device.register_count} registers said to be held, {total} are"
    ranges: dict[bytes, Tally] = defaultdict(Tally)
    for range_id in {*counted, *device.ranges()}:
        said, one = device.stats(range_id), counted[range_id]
        if (said.live_count, said.size_bytes, said.digest, said.held) != (
            one.live_count,
            one.size_bytes,
            one.digest,
            one.held,
        ):
            yield "count", f"statistics of range {range_id.hex()} are not what is counted"
        where = rows.range_tally_key(device.partition_of(range_id))
        tally = ranges[where]
        digest = rows.fold(tally.digest, rows.range_digest(range_id, said))
        ranges[where] = Tally(tally.members + (not said.empty), tally.size + said.held, digest)
    yield from _tallies(device, rows.RANGE_TALLY_TABLE, ranges)


def _blobs(device: Device, living: dict[int, int], *, deep: bool) -> Iterator[Found]:
    counted: dict[bytes, Tally] = defaultdict(Tally)
    total = 0
    for key, value in device.index.scan(rows.BLOB_TABLE, b"C"):
        row = rows.unpack_blob(value)
        piece = key[rows.PARTITIONED_BYTES :]
        total += 1
        living[row.place.segment] += row.place.length
        if not row.bad:
            where = rows.piece_tally_key(row.policy, int.from_bytes(key[1:5], "big"), piece[-1])
            tally = counted[where]
            digest = rows.fold(tally.digest, rows.piece_digest(piece[:-1]))
            counted[where] = Tally(tally.members + 1, tally.size + row.body_bytes, digest)
        problem = _blob_problem(device, piece, row, deep=deep)
        if problem:
            yield "bad", f"piece {piece[-1]} of blob {piece[:-1].hex()}: {problem}"
    if device.blob_count != total:
        yield "count", f"{device.blob_count} pieces said to be held, {total} are"
    yield from _tallies(device, rows.PIECE_TALLY_TABLE, counted)


def _blob_problem(device: Device, piece: bytes, row: BlobRow, *, deep: bool) -> str:
    if row.bad:
        return "it was found not to verify"
    try:
        logged, packed = _prefix(device, row.place, row.body_bytes)
        if logged != piece:
            return "its row points at another record"
        if deep:
            raw = device.log.read_record(row.place)
            body = raw[row.place.length - row.body_bytes :]
            if not records.body_matches(records.decode_header(raw), packed, body):
                return "its bytes do not verify"
    except (Corrupt, OSError) as error:
        return str(error)
    return ""


def _tallies(device: Device, table: bytes, counted: dict[bytes, Tally]) -> Iterator[Found]:
    found = device.index.scan(table, rows.after_table(table))
    said = {key: rows.unpack_tally(value) for key, value in found}
    for key in said.keys() | counted.keys():
        one = counted.get(key, Tally())
        if said.get(key, Tally()) != (one if one.members else Tally()):
            yield "count", f"partition table {key.hex()} is not what is counted"


def _expiries(device: Device) -> Iterator[Found]:
    said = {key for key, _ in device.index.scan(rows.EXPIRY_TABLE, b"F")}
    wanted = set()
    for key, value in device.index.scan(rows.REGISTER_TABLE, b"S"):
        row = rows.unpack_register(value)
        if row.expires_s and row.flags & wire.LIVE:
            wanted.add(rows.expiry_key(row.expires_s, key[1:17], row.name or key[17:]))
    if said != wanted:
        yield "count", f"{len(said ^ wanted)} expiries are not those of the registers"


def differences(old: Index, new: Index, generation: int) -> Iterator[str]:
    """Where two indexes of one log say different things. Stamps that no longer matter are left out."""
    before, after = _entries(old, generation), _entries(new, generation)
    left, right = next(before, None), next(after, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            yield f"{_key_text(left[0])} is only in the old index"
            left = next(before, None)
        elif left is None or right[0] < left[0]:
            yield f"{_key_text(right[0])} is only in the new index"
            right = next(after, None)
        else:
            if left[1] != right[1]:
                yield f"{_key_text(left[0])} differs"
            left, right = next(before, None), next(after, None)


def _entries(index: Index, generation: int) -> Iterator[tuple[bytes, bytes]]:
    for key, value in index.scan(b"A", b"Z"):
        if key.startswith(UNCOMPARED) or key[:1] == rows.REPLACED_TABLE:
            continue
        if key[:1] == rows.BLOB_TABLE:
            row = rows.unpack_blob(value)
            stamp = row.stamp if row.stamp >= generation - 1 else 0
            yield key, rows.pack_blob(row._replace(stamp=stamp))
        elif key[:1] == rows.STATS_TABLE:
            stats = rows.unpack_stats(value)
            top = stats.top if stats.held else ZERO
            yield key, rows.pack_stats(stats._replace(top=max(top, stats.floor)))
        elif key[:1] != rows.SEGMENT_TABLE or any(value):
            yield key, value


def _key_text(key: bytes) -> str:
    return f"row {key[:1].decode()} {key[1:].hex()}"
