"""Giving space back: sealed segments that are mostly dead are copied out and removed.

`choose` is pure. Copying re-appends each record the index still points to (its last copy wins at
recovery, registers by ballot and blobs by place), and a segment goes only when nothing points to it any
more. Background work: one segment at a time, at a bounded rate.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import Corrupt
from objectd import record as records
from objectd import rows, wire
from objectd.device import Device
from objectd.log import Scanned

log = logging.getLogger("ringstack.objectd")

LIVE_RATIO_MAX = 0.6  # a segment with more living bytes than this is not worth the copying
DEAD_BYTES_MIN = 1024 * 1024
CHECK_S = 30.0
RATE_BYTES_S = 64 * 1024 * 1024


class Candidate(NamedTuple):
    """A sealed segment: its length and its living bytes."""

    segment: int
    total_bytes: int
    live_bytes: int


def choose(candidates: Sequence[Candidate], *, ratio_max: float = LIVE_RATIO_MAX) -> int | None:
    """The segment that gives back most for its copying, or None when none is worth it."""
    worth = [
        candidate
        for candidate in candidates
        if candidate.total_bytes - candidate.live_bytes >= DEAD_BYTES_MIN
        and candidate.live_bytes <= candidate.total_bytes * ratio_max
    ]
    if not worth:
        return None
    return min(worth, key=lambda c: (c.live_bytes / max(1, c.total_bytes), c.segment)).segment


def candidates(device: Device) -> list[Candidate]:
    """Sealed segments of a device."""
    return [
        Candidate(number, device.log.segment_bytes(number), device.segment_live(number))
        for number in device.log.segments
        if number != device.log.active
    ]


async def compact_once(device: Device, *, ratio_max: float = LIVE_RATIO_MAX) -> int | None:
    """Copy out and remove one segment; returns its number, or None when there was nothing to do."""
    segment = choose(candidates(device), ratio_max=ratio_max)
    if segment is None or device.log.failed is not None:
        return None
    copied = 0
    for scanned in device.log.scan(segment):
        if needed(device, scanned):
            await _copy(device, scanned)
            copied += scanned.place.length
            await asyncio.sleep(scanned.place.length / RATE_BYTES_S)
    left = device.segment_live(segment)
    if left > 0:
        log.warning("segment %d still has %d living bytes and stays", segment, left)
        return None
    device.commit_index()
    device.remove_segment(segment)
    log.info("segment %d compacted, %d bytes were alive", segment, copied)
    return segment


def needed(device: Device, scanned: Scanned) -> bool:
    """The index points to this record, or it holds state that must outlive its segment."""
    kind = scanned.header.kind
    if kind == records.REGISTER:
        range_id, name = scanned.key[: wire.RANGE_BYTES], scanned.key[wire.RANGE_BYTES :]
        row = device.register(range_id, name)
        return row is not None and row.place == scanned.place
    if kind == records.BLOB:
        value = device.index.get(rows.BLOB_TABLE + scanned.key)
        return value is not None and rows.unpack_blob(value).place == scanned.place
    if kind == records.FENCE:
        return device.stats(scanned.key).stage <= int.from_bytes(scanned.head, "big")
    if kind == records.CEILING:
        return device.stored_ceiling_us <= int.from_bytes(scanned.head, "big")
    return False  # a dropped blob that an older segment still has is an orphan, found by the sweep


async def _copy(device: Device, scanned: Scanned) -> None:
    """Append a record again, byte for byte, and wait until it is durable and indexed."""
    place = scanned.place
    raw = await device.log.read(place.segment, place.offset, place.length)
    body = raw[place.length - scanned.header.body_bytes :]
    if not records.body_matches(scanned.header, scanned.head, body):
        raise Corrupt("BadRecord", f"a record of segment {place.segment} does not verify")
    done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    device.write_again(scanned, raw, body, done.set_result)
    error = await done
    if error is not None:
        raise error


async def run_for_ever(devices: Sequence[Device]) -> None:
    """Compact now and then, for the life of the process."""
    while True:
        await asyncio.sleep(CHECK_S)
        for device in devices:
            try:
                while await compact_once(device) is not None:
                    pass
            except (OSError, Corrupt) as error:
                log.error("compaction of %s stopped: %s", device.identity.name, error)
