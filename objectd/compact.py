"""Giving space back: sealed segments that are mostly dead are copied out and removed.

`choose` is pure. Copying re-appends each record the index still points to (its last copy wins at
recovery, registers by ballot and blobs by place), and a segment goes only when nothing points to it any
more. Background work: one segment at a time, at a bounded rate. A segment with a record that does not
verify stays; the others go on. On a disk that is nearly full only what fits is copied, and the segment
being written is closed early when it is mostly dead.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from core.errors import Corrupt
from core.limits import MIB
from core.stamp import ZERO
from objectd import hints, rows, wire
from objectd import record as records
from objectd.device import FULL_RESERVE_BYTES, INDEX_ROOM_BYTES, Device
from objectd.log import Scanned
from objectd.segment_rows import mark, read_known, rows_of

log = logging.getLogger("ringstack.objectd")

LIVE_RATIO_MAX = 0.6  # a segment with more living bytes than this is not worth the copying
DEAD_BYTES_MIN = 1 * MIB
LOW_BYTES = 4 * FULL_RESERVE_BYTES  # with less free space, the segment being written may be closed
CHECK_S = 30.0
RATE_BYTES_S = 64 * MIB
BATCH_RECORDS = 128  # copied at a time, so that they share their sync
BATCH_BYTES = 4 * MIB
STAGE_BYTES = 4  # of a FENCE record
SALVAGE_AGAIN_S = 300.0  # or earlier, when repair has replaced something
STAMPED_AT_ONCE = 10_000  # blobs in one TOUCH record


class Candidate(NamedTuple):
    """A sealed segment: its length and its living bytes."""

    segment: int
    total_bytes: int
    live_bytes: int


def choose(
    candidates: Sequence[Candidate],
    *,
    ratio_max: float = LIVE_RATIO_MAX,
    room_bytes: int | None = None,
) -> int | None:
    """The segment that gives back most for its copying, or None when none is worth it or fits."""
    worth = [
        candidate
        for candidate in candidates
        if candidate.total_bytes - candidate.live_bytes >= DEAD_BYTES_MIN
        and candidate.live_bytes <= candidate.total_bytes * ratio_max
        and (room_bytes is None or candidate.live_bytes <= max(0, room_bytes))
    ]
    if not worth:
        return None
    return min(worth, key=lambda c: (c.live_bytes / max(1, c.total_bytes), c.segment)).segment


def candidates(device: Device) -> list[Candidate]:
    """Sealed segments of a device, but for those that could not be copied out."""
    return [
        candidate_of(device, number)
        for number in device.log.segments
        if number != device.log.active
        and not _stuck(device, number)
        and number not in device.generation.kept_segments
    ]


def _stuck(device: Device, number: int) -> bool:
    """It has records that cannot be copied out, and none of them has been replaced since."""
    return device.stuck_segments.get(number) == device.segment_live(number)


def candidate_of(device: Device, number: int) -> Candidate:
    """A segment as `choose` sees it."""
    return Candidate(number, device.log.segment_bytes(number), device.segment_live(number))


async def compact_once(device: Device, *, ratio_max: float = LIVE_RATIO_MAX) -> int | None:
    """Copy out and remove one segment; returns its number, or None when there was nothing to do."""
    if device.log.failed is not None:
        return None
    free_bytes = device.disk.free_bytes()
    room_bytes = free_bytes - INDEX_ROOM_BYTES
    if free_bytes < LOW_BYTES:
        await _close_dead_segment(device, ratio_max)
    segment = _broken(device)
    if segment is None:
        segment = choose(candidates(device), ratio_max=ratio_max, room_bytes=room_bytes)
    if segment is None:
        return None
    try:
        if segment in device.damage.broken_segments:
            await salvage_segment(device, segment)
        else:
            await compact_segment(device, segment)
    except Corrupt as error:
        if error.code == "DamagedLog":
            device.damage.broken_segments.add(segment)
        live = device.segment_live(segment)
        device.damage.put_off[segment] = (live, _now_s() + SALVAGE_AGAIN_S)
        log.error("%s: segment %d stays: %s", device.identity.name, segment, error.message)
        device.stuck_segments[segment] = device.segment_live(segment)
    return segment


async def compact_segment(device: Device, segment: int) -> None:
    """Copy a sealed segment's living records out and remove it. Raises OSError, Corrupt."""
    scan = device.log.scan(segment)
    copied = 0
    while batch := await device.env.offload(lambda: _next_batch(scan)):
        wanted = [scanned for scanned in batch if needed(device, scanned)]
        results = await asyncio.gather(
            *(_copy(device, scanned) for scanned in wanted), return_exceptions=True
        )
        for result in results:
            if isinstance(result, BaseException):
                raise result
        size = sum(scanned.place.length for scanned in wanted)
        copied += size
        await asyncio.sleep(size / RATE_BYTES_S)
    _remove(device, segment)
    log.info("segment %d compacted, %d bytes were alive", segment, copied)


def _broken(device: Device) -> int | None:
    """A segment whose records cannot all be told apart, while there is something to save of it."""
    if device.generation.kept_segments:
        return None  # a sweep needs old records where they are
    for number in sorted(device.damage.broken_segments):
        if number == device.log.active:
            device.log.roll()  # saved once something else has been written
        elif number not in device.log.segments:
            device.damage.broken_segments.discard(number)
        else:
            live, until_s = device.damage.put_off.get(number, (-1, 0.0))
            if live != device.segment_live(number) or until_s <= _now_s():
                return number
    return None


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def salvage_segment(device: Device, segment: int) -> None:
    """Write again what the index knows of a broken segment, and all state that it may have held; remove it.

    Raises OSError, and Corrupt while some of what it held has not been replaced by repair.

    It may have held records that say what is to be forgotten. Those concern older records, which the index
    does not know any more but a rebuild would find: so every older segment is rewritten, too.
    """
    async for known in rows_of(device, segment):
        read = await read_known(device, known)
        if read is None:
            mark(device, known)
        elif needed(device, read.scanned):
            await _written(partial(device.write_again, read.scanned, read.raw, read.body))
            await asyncio.sleep(known.place.length / RATE_BYTES_S)
    await _write_state(device)
    for older in device.log.segments:
        if older < segment and older not in device.damage.broken_segments:
            if device.segment_live(older) > device.disk.free_bytes() - INDEX_ROOM_BYTES:
                raise Corrupt("NoRoom", "older segments have to be rewritten first")
            await compact_segment(device, older)
    if device.log.segments[0] < segment:
        raise Corrupt("OlderBroken", "an older segment is broken, too")
    _remove(device, segment)
    device.damage.broken_segments.discard(segment)
    log.warning("%s: segment %d was broken and is replaced", device.identity.name, segment)


async def _write_state(device: Device) -> None:
    """Ceiling, generation, stamps, stages and floors once more: their records may be among what was lost."""
    await _written(lambda done: device.write_ceiling(device.stored_ceiling_us, done))
    if device.generation.number:
        await _written(partial(device.generation.raise_to, device.generation.number))
    for stamp, blobs in _stamps(device).items():
        for start in range(0, len(blobs), STAMPED_AT_ONCE):
            ids = b"".join(blobs[start : start + STAMPED_AT_ONCE])
            key = stamp.to_bytes(4, "big")
            await _written(partial(device.write, records.TOUCH, key, ids, ()))
    for range_id in device.ranges():
        stats = device.stats(range_id)
        if stats.stage:
            stage = stats.stage.to_bytes(STAGE_BYTES, "big")
            await _written(partial(device.write, records.FENCE, range_id, stage, ()))
        if stats.floor != ZERO:
            await _written(partial(device.reclaim.write_floor, range_id, stats.floor))


def _stamps(device: Device) -> dict[int, list[bytes]]:
    """Blobs by their stamp, as far as stamps still matter."""
    found: dict[int, list[bytes]] = {}
    for key, value in device.index.scan(rows.BLOB_TABLE, rows.after_table(rows.BLOB_TABLE)):
        stamp = rows.unpack_blob(value).stamp
        if stamp and stamp >= device.generation.number - 1:
            found.setdefault(stamp, []).append(key[rows.PARTITIONED_BYTES : -1])
    return found


async def _written(write: Callable[[Callable[[OSError | None], None]], None]) -> None:
    """Wait until a write is durable. Raises OSError."""
    done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    write(done.set_result)
    error = await done
    if error is not None:
        raise error


def _remove(device: Device, segment: int) -> None:
    if device.segment_live(segment) > 0:
        raise Corrupt("StillAlive", f"{device.segment_live(segment)} bytes of it are in use")
    device.commit_index()
    device.remove_segment(segment)
    device.commit_index()


def _next_batch(scan: Iterator[Scanned]) -> list[Scanned]:
    batch: list[Scanned] = []
    size = 0
    for scanned in itertools.islice(scan, BATCH_RECORDS):
        batch.append(scanned)
        size += scanned.place.length
        if size > BATCH_BYTES:
            break
    return batch


async def _close_dead_segment(device: Device, ratio_max: float) -> None:
    """Go on in a new segment when the one being written is mostly dead."""
    if choose([candidate_of(device, device.log.active)], ratio_max=ratio_max) is None:
        return
    device.log.roll()
    with contextlib.suppress(OSError):
        await _written(lambda done: device.write_ceiling(device.stored_ceiling_us, done))


def needed(device: Device, scanned: Scanned) -> bool:
    """The index points to this record, or it holds state that must outlive its segment."""
    kind = scanned.header.kind
    if kind == records.REGISTER:
        range_id, name = scanned.key[: wire.RANGE_BYTES], scanned.key[wire.RANGE_BYTES :]
        row = device.register(range_id, name)
        return row is not None and row.place == scanned.place
    if kind == records.BLOB:
        blob_row = device.blob(scanned.key[:-1], scanned.key[-1])
        return blob_row is not None and blob_row.place == scanned.place
    if kind == records.FENCE:
        return device.stats(scanned.key).stage <= int.from_bytes(scanned.head, "big")
    if kind == records.CEILING:
        return device.stored_ceiling_us <= int.from_bytes(scanned.head, "big")
    if kind in {
        records.DROP,
        records.DROP_PIECES,
    }:  # an older segment may still have a copy, which must stay dropped
        return device.log.segments[0] < (records.drop_limit(scanned.key) or scanned.place).segment
    if kind == records.FLOOR:
        return device.stats(scanned.key).floor <= scanned.head
    if kind == records.FORGET:
        limit = records.drop_limit(scanned.key[wire.RANGE_BYTES :]) or scanned.place
        return device.log.segments[0] < limit.segment
    if kind == records.GENERATION:
        return device.generation.number <= int.from_bytes(scanned.head, "big")
    if kind == records.TOUCH:  # an older stamp is as good as none
        return device.generation.number <= int.from_bytes(scanned.key, "big") + 1
    return False


async def _copy(device: Device, scanned: Scanned) -> None:
    """Append a record again and wait until it is durable and indexed."""
    place = scanned.place
    raw = await device.log.read(place.segment, place.offset, place.length)
    body = raw[place.length - scanned.header.body_bytes :]
    if not records.body_matches(scanned.header, scanned.head, body):
        device.damage.record(scanned)
        raise Corrupt("BadRecord", f"the record at byte {place.offset} does not verify")
    if scanned.header.kind == records.BLOB and device.dropping(scanned.key):
        return
    if not needed(device, scanned):  # it was dropped, forgotten or replaced while it was read
        return
    done: asyncio.Future[OSError | None] = asyncio.get_running_loop().create_future()
    kind = scanned.header.kind
    if kind in {records.DROP, records.DROP_PIECES}:
        limit = records.drop_limit(scanned.key) or place
        write = device.write_drop if kind == records.DROP else device.write_drop_pieces
        write(records.pieces_of(kind, scanned.head), done.set_result, limit=limit)
    elif kind == records.FORGET:
        range_id = scanned.key[: wire.RANGE_BYTES]
        limit = records.drop_limit(scanned.key[wire.RANGE_BYTES :]) or place
        names = records.decode_forget_head(scanned.head).rows
        device.reclaim.write_forget(range_id, names, done.set_result, limit=limit)
    else:
        if kind == records.BLOB:
            scanned, raw = _stamped(device, scanned, raw, body)
        device.write_again(scanned, raw, body, done.set_result)
    error = await done
    if error is not None:
        raise error


def _stamped(device: Device, scanned: Scanned, raw: bytes, body: bytes) -> tuple[Scanned, bytes]:
    """The record of a piece with the stamp it has by now: the touch that gave it may lie before the copy."""
    head = records.decode_blob_head(scanned.head)
    row = device.blob(scanned.key[:-1], scanned.key[-1])
    assert row is not None
    stamp = device.generation.stamp_of(scanned.key[:-1], row)
    if stamp <= head.stamp:
        return scanned, raw
    packed = records.encode_head(msgspec.structs.replace(head, stamp=stamp))
    header = scanned.header._replace(head_bytes=len(packed))
    prefix = records.encode_prefix(
        header.kind, scanned.key, packed, header.body_bytes, header.wall_us
    )
    return scanned._replace(header=header, head=packed), prefix + body


async def run_for_ever(devices: Sequence[Device]) -> None:
    """Compact now and then, and make hints of what is sealed, for the life of the process."""
    while True:
        await asyncio.sleep(CHECK_S)
        for device in devices:
            try:
                while await compact_once(device) is not None:
                    pass
                await hints.write_missing(device)
            except OSError as error:
                log.error("compaction of %s stopped: %s", device.identity.name, error)
