"""What a device must hold, as two dictionaries, and how to compare a device with it."""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

from core.checksum import block_sums
from core.stamp import ZERO, stage_of
from objectd import record as records
from objectd import rows, wire
from objectd.device import Device


class Kept(NamedTuple):
    """A register: ballot, flags, size, expiry, and the three parts of its body."""

    ballot: bytes
    flags: int
    size: int
    expires_s: int
    summary: bytes
    meta: bytes
    inline: bytes

    @property
    def body(self) -> bytes:
        return self.summary + self.meta + self.inline

    def accept(self, range_id: bytes, name: bytes) -> wire.Accept:
        return wire.Accept(
            range_id,
            name,
            self.ballot,
            self.flags,
            self.size,
            self.expires_s,
            wire.digest_of(self.body),
            len(self.summary),
            len(self.meta),
        )


RegisterKey = tuple[bytes, bytes]  # range id, name
BlobKey = tuple[bytes, int]  # blob id, fragment


class State:
    """Registers, blobs, stages and the promise ceiling."""

    def __init__(self) -> None:
        self.registers: dict[RegisterKey, Kept] = {}
        self.blobs: dict[BlobKey, bytes] = {}
        self.stages: dict[bytes, int] = defaultdict(int)
        self.floors: dict[bytes, bytes] = {}
        self.ceiling_us = 0

    def copy(self) -> State:
        twin = State()
        twin.registers, twin.blobs = dict(self.registers), dict(self.blobs)
        twin.stages, twin.ceiling_us = defaultdict(int, self.stages), self.ceiling_us
        twin.floors = dict(self.floors)
        return twin

    def accept(self, key: RegisterKey, kept: Kept) -> None:
        held = self.registers.get(key)
        if held is None or kept.ballot > held.ballot:
            self.registers[key] = kept

    def forget(self, key: RegisterKey, ballot: bytes) -> None:
        held = self.registers.get(key)
        if held is not None and held.ballot <= ballot:
            del self.registers[key]

    def raise_floor(self, range_id: bytes, floor: bytes) -> None:
        self.floors[range_id] = max(floor, self.floors.get(range_id, ZERO))
        self.stages[range_id] = max(self.stages[range_id], stage_of(floor))

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, State)
        return (
            self.registers == other.registers
            and self.blobs == other.blobs
            and {k: v for k, v in self.stages.items() if v}
            == {k: v for k, v in other.stages.items() if v}
            and self.ceiling_us == other.ceiling_us
            and self.floors == other.floors
        )

    __hash__ = None  # type: ignore[assignment]


def state_of(device: Device) -> State:
    """Everything a device holds, read through its index from its log, every byte verified."""
    state = State()
    for key, value in device.index.scan(rows.REGISTER_TABLE, b"S"):
        row = rows.unpack_register(value)
        assert not row.damaged
        name = row.name or key[17:]
        raw = device.log.read_record(row.place)
        header = records.decode_header(raw)
        logged, _ = records.check_prefix(raw, header)
        assert logged == key[1:17] + name, "a row points at another record"
        body = raw[row.place.length - row.whole_bytes :]
        assert wire.digest_of(body) == row.digest
        front = row.summary_bytes + row.meta_bytes
        kept = Kept(
            row.ballot,
            row.flags,
            row.size,
            row.expires_s,
            body[: row.summary_bytes],
            body[row.summary_bytes : front],
            body[front:],
        )
        assert row.summary == kept.summary
        assert row.meta in {b"", kept.meta}
        state.registers[key[1:17], name] = kept
    for key, value in device.index.scan(rows.BLOB_TABLE, b"C"):
        blob = rows.unpack_blob(value)
        raw = device.log.read_record(blob.place)
        logged, head = records.check_prefix(raw, records.decode_header(raw))
        assert logged == key[rows.PARTITIONED_BYTES :]
        assert int.from_bytes(key[1:5], "big") == device.partition_of(logged[:16])
        body = raw[blob.place.length - blob.body_bytes :]
        assert records.decode_blob_head(head).sums == block_sums(body)
        state.blobs[logged[:16], logged[16]] = body
    for range_id in device.ranges():
        state.stages[range_id] = device.stats(range_id).stage
    for range_id in device.ranges():
        floor = device.stats(range_id).floor
        if floor != ZERO:
            state.floors[range_id] = floor
    state.ceiling_us = device.stored_ceiling_us
    return state


def check_derived(device: Device, state: State) -> None:
    """Statistics, expiries, digests, counts and segment accounts all follow from the records."""
    assert device.register_count == len(state.registers)
    assert device.blob_count == len(state.blobs)
    ranges = {range_id for range_id, _ in state.registers}
    for range_id in ranges:
        mine = {name: kept for (owner, name), kept in state.registers.items() if owner == range_id}
        live = [kept for kept in mine.values() if kept.flags & wire.LIVE]
        stats = device.stats(range_id)
        assert stats.live_count == len(live)
        assert stats.size_bytes == sum(kept.size for kept in live)
        digests = [rows.register_digest(name, kept.ballot) for name, kept in mine.items()]
        assert stats.digest == rows.fold(bytes(16), *digests)
        assert stats.held == len(mine)
        ballots = [kept.ballot for kept in mine.values()]
        assert stats.top >= max([*ballots, stats.floor])  # what was forgotten counts too
    expiries = {key for key, _ in device.index.scan(rows.EXPIRY_TABLE, b"F")}
    assert expiries == {
        rows.expiry_key(kept.expires_s, *key)
        for key, kept in state.registers.items()
        if kept.expires_s and kept.flags & wire.LIVE
    }
    check_tallies(device)
    living: dict[int, int] = defaultdict(int)
    for _, value in device.index.scan(rows.REGISTER_TABLE, b"S"):
        place = rows.unpack_register(value).place
        living[place.segment] += place.length
    for _, value in device.index.scan(rows.BLOB_TABLE, b"C"):
        place = rows.unpack_blob(value).place
        living[place.segment] += place.length
    for number in device.log.segments:
        assert device.segment_live(number) == living[number], f"segment {number}"


def check_tallies(device: Device) -> None:
    """What the index says of each partition follows from the rows it counts."""
    pieces: dict[bytes, rows.Tally] = defaultdict(rows.Tally)
    for key, value in device.index.scan(rows.BLOB_TABLE, b"C"):
        row, partition = rows.unpack_blob(value), int.from_bytes(key[1:5], "big")
        if row.bad:
            continue
        where = rows.piece_tally_key(row.policy, partition, key[-1])
        count, size, digest = pieces[where]
        folded = rows.fold(digest, rows.piece_digest(key[5:-1]))
        pieces[where] = rows.Tally(count + 1, size + row.body_bytes, folded)
    ranges: dict[bytes, rows.Tally] = defaultdict(rows.Tally)
    for range_id in device.ranges():
        stats = device.stats(range_id)
        where = rows.range_tally_key(device.partition_of(range_id))
        count, size, digest = ranges[where]
        folded = rows.fold(digest, rows.range_digest(range_id, stats))
        ranges[where] = rows.Tally(count + (not stats.empty), size + stats.held, folded)
    for table, counted in ((rows.PIECE_TALLY_TABLE, pieces), (rows.RANGE_TALLY_TABLE, ranges)):
        found = device.index.scan(table, rows.after_table(table))
        told = {key: rows.unpack_tally(value) for key, value in found}
        assert told == {key: tally for key, tally in counted.items() if tally.members}
