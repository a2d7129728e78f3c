"""Calls on pieces of blobs: store one, read a part of one, forget some.

What is read from the disk is verified, and known to be what was asked for, before it is sent.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from core.checksum import sums_match
from core.errors import Corrupt
from core.frame import Frame
from core.limits import SUM_BLOCK_BYTES
from core.link import ServerConnection
from objectd import record as records
from objectd import wire
from objectd.device import Device
from objectd.rows import BlobRow

log = logging.getLogger("ringstack.objectd")

LARGE_READ_BYTES = 256 * 1024  # above this a read never blocks the loop, cached or not

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class BlobCalls:
    """Answers calls on blobs. `spawn` runs what has to wait for the disk, `epoch` is the ring's in force."""

    def __init__(self, spawn: Spawn, epoch: Callable[[], int]) -> None:
        self._spawn = spawn
        self._epoch = epoch
        self.operations = {
            wire.PUT_BLOB: self._put_blob,
            wire.GET_BLOB: self._get_blob,
            wire.DROP_BLOBS: self._drop_blobs,
            wire.DROP_PIECES: self._drop_pieces,
        }

    def _put_blob(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_put_blob(call.head)
        if not sums_match(call.body, message.sums):
            connection.reply(call, wire.CORRUPT)
            return
        if not device.room_for(len(call.body)):
            connection.reply(call, wire.FULL)
            return
        stamp = wire.encode(max(message.stamp, device.generation.number))
        device.write_blob(
            message, call.body, lambda error: connection.reply(call, status_of(error), stamp)
        )

    def _get_blob(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_get_blob(call.head)
        self._spawn(self._send_blob(device, connection, call, message))

    async def _send_blob(
        self, device: Device, connection: ServerConnection, call: Frame, message: wire.GetBlob
    ) -> None:
        """Read the wanted blocks and their sums, verify, send."""
        await connection.writable()  # a peer that does not read must not fill our memory
        while True:
            row = device.blob(message.blob, message.fragment)
            if row is None:
                connection.reply(call, wire.ABSENT)
                return
            try:
                found = await self._read_blob(device, message, row)
                break
            except (OSError, Corrupt, msgspec.MsgspecError) as error:
                if device.blob(message.blob, message.fragment) != row:
                    continue  # compaction moved it meanwhile
                if not isinstance(error, OSError) or device.damage.read_failed(
                    error
                ):  # so that repair brings a good one
                    device.damage.piece(message.blob + bytes((message.fragment,)), row)
                    connection.reply(call, wire.CORRUPT)
                else:
                    log.error("a blob cannot be read from %s: %s", device.identity.name, error)
                    connection.reply(call, wire.FAILED)
                return
        head, data = found
        connection.reply(call, wire.OK, wire.encode(head), data)

    async def _read_blob(
        self, device: Device, message: wire.GetBlob, row: BlobRow
    ) -> tuple[wire.BlobBytes, bytes]:
        """Whole blocks around the wanted bytes. Raises Corrupt unless they are this blob's own."""
        first = message.start // SUM_BLOCK_BYTES
        last = min(row.body_bytes, message.start + message.length)
        start = first * SUM_BLOCK_BYTES
        end = min(row.body_bytes, -(-last // SUM_BLOCK_BYTES) * SUM_BLOCK_BYTES)
        segment, offset, length = row.place
        body_at = offset + length - row.body_bytes
        prefix = await self._bytes(device, segment, offset, body_at - offset)
        data = await self._bytes(device, segment, body_at + start, max(0, end - start))
        key, head = records.check_prefix(prefix, records.decode_header(prefix))
        if key != message.blob + bytes((message.fragment,)):
            raise Corrupt("OtherBlob", "the index points at another blob")
        blob_head = records.decode_blob_head(head)
        sums = blob_head.sums[first * 16 : (first + -(-(end - start) // SUM_BLOCK_BYTES)) * 16]
        if not sums_match(data, sums):
            raise Corrupt("BadSums", "a blob does not verify")
        answer = wire.BlobBytes(
            start, row.body_bytes, blob_head.total, sums, blob_head.owner, row.stamp
        )
        return answer, data

    async def _bytes(self, device: Device, segment: int, offset: int, length: int) -> bytes:
        if length <= LARGE_READ_BYTES:
            data = device.log.read_cached(segment, offset, length)
            if data is not None:
                return data
        return await device.log.read(segment, offset, length)

    def _drop_blobs(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_drop(call.head)
        if message.below >= max(1, device.generation.number):  # it may not even know of that pass
            connection.reply(call, wire.BAD)
            return
        held = [blob for blob in message.blobs if device.has_any(blob)]
        if message.below:
            held = device.generation.droppable(held, message.below)
        if not held:
            connection.reply(call, wire.OK)
            return
        device.write_drop(held, lambda error: connection.reply(call, status_of(error)))

    def _drop_pieces(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        """A piece is given up because it is held where the ring wants it: both must mean the same ring.

        Otherwise two devices that follow different rings could each give up theirs for the other's sake.
        """
        message = wire.decode_drop_pieces(call.head)
        if call.epoch != self._epoch():
            older = call.epoch < self._epoch()
            connection.reply(call, wire.OLD_RING if older else wire.NEW_RING)
            return
        held = [
            blob + bytes((fragment,))
            for blob, fragment in message.pieces
            if device.blob(blob, fragment) is not None
        ]
        if not held:
            connection.reply(call, wire.OK)
            return
        device.write_drop_pieces(held, lambda error: connection.reply(call, status_of(error)))


def status_of(error: OSError | None) -> int:
    """Reply status of a finished write."""
    if error is None:
        return wire.OK
    return wire.FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else wire.FAILED
