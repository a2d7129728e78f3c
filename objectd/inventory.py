"""What a device holds, in pages: its partitions, their ranges and blobs; and what of it is bad.

This is what background work (repair, rebalance, sweep, fsck) compares and walks.
"""

from __future__ import annotations

import itertools

from core.frame import Frame
from core.link import ServerConnection
from objectd import rows, wire
from objectd.device import Device

_BEYOND_IDS = b"\xff" * (wire.BLOB_ID_BYTES + 2)


def partitions(device: Device, connection: ServerConnection, call: Frame) -> None:
    """PARTITIONS: a tally for each (policy, partition, fragment) of which a piece is held."""
    message = wire.decode_partitions_call(call.head)
    start = rows.PIECE_TALLY_TABLE + message.after + (b"\0" if message.after else b"")
    found = device.index.scan(start, rows.after_table(rows.PIECE_TALLY_TABLE))
    answer = []
    for key, value in itertools.islice(found, message.limit):
        policy, partition = int.from_bytes(key[1:3], "big"), int.from_bytes(key[3:7], "big")
        answer.append(wire.PiecesRow(policy, partition, key[7], *rows.unpack_tally(value)))
    connection.reply(call, wire.OK, b"", wire.encode(answer))


def range_partitions(device: Device, connection: ServerConnection, call: Frame) -> None:
    """RANGE_PARTITIONS: a tally for each partition of which an index range is held."""
    message = wire.decode_partitions_call(call.head)
    device.flush_stats()
    start = rows.RANGE_TALLY_TABLE + message.after + (b"\0" if message.after else b"")
    found = device.index.scan(start, rows.after_table(rows.RANGE_TALLY_TABLE))
    answer = [
        wire.RangesOfRow(int.from_bytes(key[1:], "big"), *rows.unpack_tally(value))
        for key, value in itertools.islice(found, message.limit)
    ]
    connection.reply(call, wire.OK, b"", wire.encode(answer))


def ranges(device: Device, connection: ServerConnection, call: Frame) -> None:
    """RANGES: ids, digests and stages of index ranges."""
    message = wire.decode_ranges_call(call.head)
    device.flush_stats()
    start, end = _bounds(device, rows.STATS_TABLE, message.after, message.partition)
    found = []
    for key, value in itertools.islice(device.index.scan(start, end), message.limit):
        row = rows.unpack_stats(value)
        found.append(wire.RangeRow(key[rows.PARTITIONED_BYTES :], row.digest, row.stage, row.floor))
    connection.reply(call, wire.OK, b"", wire.encode(found))


def blobs(device: Device, connection: ServerConnection, call: Frame) -> None:
    """BLOBS: the pieces held."""
    message = wire.decode_blobs_call(call.head)
    start, end = _bounds(device, rows.BLOB_TABLE, message.after, message.partition)
    found: list[wire.BlobRow] = []
    for key, value in device.index.scan(start, end):
        if len(found) >= message.limit:
            break
        row = rows.unpack_blob(value)
        if message.policy in {None, row.policy} and (message.bad or not row.bad):
            blob = key[rows.PARTITIONED_BYTES : -1]
            found.append(
                wire.BlobRow(blob, key[-1], row.policy, row.total, row.body_bytes, row.stamp)
            )
    connection.reply(call, wire.OK, b"", wire.encode(found))


def have(device: Device, connection: ServerConnection, call: Frame) -> None:
    """HAVE: whether each of some pieces is held and good."""
    message = wire.decode_have_call(call.head)
    answer = [device.has_good(blob, fragment) for blob, fragment in message.pieces]
    connection.reply(call, wire.OK, b"", wire.encode(answer))


def damages(device: Device, connection: ServerConnection, call: Frame) -> None:
    """DAMAGES: what was found bad and has not been replaced."""
    message = wire.decode_damages_call(call.head)
    connection.reply(call, wire.OK, b"", wire.encode(device.damage.told(message.limit)))


def scrub(device: Device, connection: ServerConnection, call: Frame) -> None:
    """SCRUB: begin a round now."""
    message = wire.decode_scrub_call(call.head)
    if device.damage.begin_scrub is None:
        connection.reply(call, wire.FAILED)
        return
    device.damage.begin_scrub(message.rate_bytes_s or None)
    connection.reply(call, wire.OK)


def _bounds(
    device: Device, table: bytes, after: bytes, partition: int | None
) -> tuple[bytes, bytes]:
    """First and last key of a page: behind `after` (an id, perhaps with more), in one partition or all."""
    prefix = table if partition is None else table + partition.to_bytes(4, "big")
    start = prefix
    if after:
        of = device.partition_of(after[: wire.RANGE_BYTES])
        start = max(start, table + of.to_bytes(4, "big") + after + b"\0")
    end = rows.after_table(table) if partition is None else prefix + _BEYOND_IDS
    return start, end


OPERATIONS = {
    wire.PARTITIONS: partitions,
    wire.RANGE_PARTITIONS: range_partitions,
    wire.RANGES: ranges,
    wire.BLOBS: blobs,
    wire.HAVE: have,
    wire.DAMAGES: damages,
    wire.SCRUB: scrub,
}
