"""Hints beside sealed segments: what an index needs of a segment, without its bodies (docs/formats/log.md).

After a power loss the index is built again from the whole log. A hint holds the header, key and head of each record of
its segment, and of registers the part of the body that the index keeps, so that what the segment mostly consists
of need not be read. It is derived and may be missing: one that is not whole, or not for a segment of just this length,
is not used. It is made in the background once its segment is sealed, where it is worth it.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

import xxhash

from core.errors import Corrupt
from core.limits import MIB
from objectd import record as records
from objectd import rows
from objectd.log import DIRECTORY, Log, Scanned
from objectd.record import HEADER_BYTES, Place

if TYPE_CHECKING:
    from objectd.device import Device

log = logging.getLogger("ringstack.objectd")

MAGIC = b"RSHT"
VERSION = 1
_HEADER = struct.Struct("<4sB3xQQ")  # magic, version, length of the segment, number of records
_ENTRY = struct.Struct(
    "<QII"
)  # offset, length of header + key + head, length of what follows of the body
IN_LOG = 0xFFFFFFFF  # the body has to be read from the log
SUM_BYTES = 16
WORTH_SHARE = 8  # a hint that is not this much shorter than its segment saves nothing
RATE_BYTES_S = 64 * MIB
BATCH_RECORDS = 256

Hinted = tuple[Scanned, bytes | None]  # a record, and the front of a register's body if it is told


def hint_path(number: int) -> str:
    """Path of a segment's hint below the device's directory."""
    return f"{DIRECTORY}/{number:08d}.hint"


def read_hint(data: bytes | None, number: int, segment_bytes: int) -> Iterator[Hinted] | None:
    """The records that a hint tells of, or None when it cannot be used for this segment."""
    if data is None or len(data) < _HEADER.size + SUM_BYTES:
        return None
    magic, version, told_bytes, count = _HEADER.unpack_from(data)
    if magic != MAGIC or version != VERSION or told_bytes != segment_bytes:
        return None
    if xxhash.xxh3_128_digest(memoryview(data)[:-SUM_BYTES]) != data[-SUM_BYTES:]:
        return None
    return _entries(data, number, count)


def _entries(data: bytes, number: int, count: int) -> Iterator[Hinted]:
    at = _HEADER.size
    for _ in range(count):
        offset, prefix_bytes, front_bytes = _ENTRY.unpack_from(data, at)
        at += _ENTRY.size
        prefix = data[at : at + prefix_bytes]
        at += prefix_bytes
        header = records.decode_header(prefix)
        key_end = HEADER_BYTES + header.key_bytes
        place = Place(number, offset, header.total)
        scanned = Scanned(place, header, prefix[HEADER_BYTES:key_end], prefix[key_end:])
        if front_bytes == IN_LOG:
            yield scanned, None
            continue
        yield scanned, data[at : at + front_bytes]
        at += front_bytes


class HintWriter:
    """A hint in the making, from the records of a segment in their order."""

    def __init__(self, log_: Log, segment: int) -> None:
        self._log = log_
        self._segment = segment
        self._scan = log_.scan(segment)
        self._parts: list[bytes] = []
        self._count = 0
        self.size = _HEADER.size + SUM_BYTES

    @property
    def worth_it(self) -> bool:
        """What there is so far is much shorter than the segment."""
        return self.size * WORTH_SHARE <= self._log.segment_bytes(self._segment)

    def step(self) -> int:
        """Add some records; how many bytes of the log they are, 0 at the end. Raises Corrupt, OSError."""
        passed = 0
        for scanned in itertools.islice(self._scan, BATCH_RECORDS):
            place, header = scanned.place, scanned.header
            prefix_bytes = place.length - header.body_bytes
            prefix = self._log.read_record(place._replace(length=prefix_bytes))
            front = self._front(scanned)
            told = IN_LOG if front is None else len(front)
            entry = (_ENTRY.pack(place.offset, prefix_bytes, told), prefix, front or b"")
            self._parts.extend(entry)
            self._count += 1
            self.size += sum(map(len, entry))
            passed += place.length
        return passed

    def _front(self, scanned: Scanned) -> bytes | None:
        """What the index keeps of a register's body; None when it keeps nothing or the body is bad."""
        if scanned.header.kind != records.REGISTER:
            return b""
        head = records.decode_register_head(scanned.head)
        if head.meta_bytes > rows.META_IN_ROW_BYTES_MAX:
            return None
        raw = self._log.read_record(scanned.place)
        body = raw[len(raw) - scanned.header.body_bytes :]
        if not records.body_matches(scanned.header, scanned.head, body):
            return None
        front = body[: head.summary_bytes + head.meta_bytes]
        return front or None  # an empty one would stand for a body that is lost

    def finish(self) -> bytes:
        """The whole file."""
        segment_bytes = self._log.segment_bytes(self._segment)
        start = _HEADER.pack(MAGIC, VERSION, segment_bytes, self._count)
        data = b"".join((start, *self._parts))
        return data + xxhash.xxh3_128_digest(data)


async def write_missing(device: Device) -> int:
    """Make hints of sealed segments that have none; returns how many were made. Raises OSError."""
    made = 0
    there = set(device.disk.list_directory(DIRECTORY))
    for segment in device.log.segments:
        if segment == device.log.active or segment in device.unhinted:
            continue
        device.unhinted.add(segment)  # it has one by now, or is not worth one
        if hint_path(segment).removeprefix(f"{DIRECTORY}/") not in there:
            made += await _write(device, segment)
    return made


async def _write(device: Device, segment: int) -> bool:
    writer = HintWriter(device.log, segment)
    try:
        while passed := await device.env.offload(writer.step):
            if not writer.worth_it:
                return False
            await asyncio.sleep(passed / RATE_BYTES_S)
    except Corrupt as error:
        log.info("%s: no hint for segment %d: %s", device.identity.name, segment, error.message)
        return False
    if segment not in device.log.segments:  # compaction was faster
        return False
    device.disk.write_file(hint_path(segment), writer.finish())
    return True
