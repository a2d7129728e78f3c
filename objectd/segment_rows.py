"""What the index knows of one segment: for when the segment itself cannot tell."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec

from core.errors import Corrupt
from objectd import record as records
from objectd import rows, wire
from objectd.device import Device
from objectd.log import Scanned
from objectd.record import HEADER_BYTES, Place

INDEX_ROWS = 2000  # looked at in one turn of the loop


class Known(NamedTuple):
    """A record that the index points to: its place, kind and key in the log."""

    place: Place
    kind: int
    key: bytes


class Read(NamedTuple):
    """A record that was read back whole and good."""

    scanned: Scanned
    raw: bytes
    body: bytes


async def rows_of(device: Device, segment: int) -> AsyncIterator[Known]:
    """Records of a segment that the index points to. Looks through the whole index, in steps."""
    for table in (rows.BLOB_TABLE, rows.REGISTER_TABLE):
        start, end = table, rows.after_table(table)
        while True:
            step = list(itertools.islice(device.index.scan(start, end), INDEX_ROWS))
            for key, value in step:
                known = _known(key, value)
                if known.place.segment == segment:
                    yield known
            if len(step) < INDEX_ROWS:
                break
            start = step[-1][0] + b"\0"
            await asyncio.sleep(0)


def _known(key: bytes, value: bytes) -> Known:
    if key[:1] == rows.BLOB_TABLE:
        return Known(rows.unpack_blob(value).place, records.BLOB, key[rows.PARTITIONED_BYTES :])
    row = rows.unpack_register(value)
    range_id, name = key[1 : 1 + wire.RANGE_BYTES], key[1 + wire.RANGE_BYTES :]
    return Known(row.place, records.REGISTER, range_id + (row.name or name))


async def read_known(device: Device, known: Known) -> Read | None:
    """The record at its place; None when it is not there, whole and good. Raises OSError."""
    place = known.place
    try:
        raw = await device.log.read(place.segment, place.offset, place.length)
        header = records.decode_header(raw[:HEADER_BYTES])
        key, head = records.check_prefix(raw, header)
        body = raw[place.length - header.body_bytes :]
        if (header.kind, key) != known[1:] or header.total != place.length:
            return None
        if not records.body_matches(header, head, body):
            return None
    except (Corrupt, msgspec.MsgspecError):
        return None
    return Read(Scanned(place, header, key, head), raw, body)


def mark(device: Device, known: Known) -> None:
    """What the index knows of a place is not there: take it out of service."""
    header = records.RecordHeader(known.kind, len(known.key), 0, 0, 0, b"")
    device.damage.record(Scanned(known.place, header, known.key, b"", intact=False))
