"""Frames to calls: what objectd answers, for a group of devices.

Registers: a call on a register whose accept is still being written waits for it, so the acceptor's
state never runs ahead of the disk. A device that has failed answers FAILED to writes and goes on reading;
one without room answers FULL to everything that grows, tombstones excepted.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable

import msgspec

from core.checksum import sums_match
from core.env import Env
from core.errors import Corrupt
from core.frame import Frame
from core.limits import SUM_BLOCK_BYTES
from core.link import FrameServer, ServerConnection
from core.stamp import clock_of, make_ballot, stage_of
from objectd import record as records
from objectd import rows, wire
from objectd.device import Device
from objectd.listing import list_page
from objectd.rows import BlobRow, RegisterRow

log = logging.getLogger("ringstack.objectd")

LARGE_READ_BYTES = 256 * 1024  # above this a read never blocks the loop, cached or not

Operation = Callable[[Device, ServerConnection, Frame], None]


class ObjectServer:
    """Dispatches frames to the devices of one process."""

    def __init__(self, env: Env, key: bytes, devices: dict[int, Device]) -> None:
        self.env = env
        self.devices = devices
        self.frames = FrameServer(env, key, self.handle)
        self.calls: dict[int, int] = {}
        self._writing: dict[tuple[int, bytes], list[Callable[[], None]]] = {}
        self._ceiling_waiters: dict[int, list[Callable[[], None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._operations: dict[int, Operation] = {
            wire.PREPARE: self._prepare,
            wire.ACCEPT: self._accept,
            wire.READ: self._read,
            wire.FENCE: self._fence,
            wire.LIST: self._list,
            wire.STATS: self._stats,
            wire.EXPIRED: self._expired,
            wire.PUT_BLOB: self._put_blob,
            wire.GET_BLOB: self._get_blob,
            wire.DROP_BLOBS: self._drop_blobs,
            wire.STATUS: self._status,
        }

    def handle(self, connection: ServerConnection, call: Frame) -> None:
        """Answer one frame, now or later."""
        self.calls[call.operation] = self.calls.get(call.operation, 0) + 1
        operation = self._operations.get(call.operation)
        if operation is None:
            connection.reply(call, wire.BAD)
            return
        if call.operation == wire.STATUS:
            self._status_all(connection, call)
            return
        device = self.devices.get(call.device)
        if device is None:
            connection.reply(call, wire.FAILED)
            return
        try:
            operation(device, connection, call)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            log.warning("a malformed call was refused: %s", error)
            connection.reply(call, wire.BAD)

    # -- registers -----------------------------------------------------------------------------

    def _later(self, device: Device, key: bytes, again: Callable[[], None]) -> bool:
        """Queue `again` behind the accept that is being written on this register, if there is one."""
        waiting = self._writing.get((device.identity.device, key))
        if waiting is None:
            return False
        waiting.append(again)
        return True

    def _stale(
        self, device: Device, connection: ServerConnection, call: Frame, range_id: bytes, stage: int
    ) -> bool:
        seen = device.stats(range_id).stage
        if stage >= seen:
            return False
        refusal = wire.Refusal(make_ballot(seen, 0, 0))
        connection.reply(call, wire.STALE, wire.encode(refusal))
        return True

    def _prepare(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_prepare(call.head)
        key = rows.register_key(message.range_id, message.name)
        if self._later(device, key, lambda: self._prepare(device, connection, call)):
            return
        ballot = message.ballot
        if self._stale(device, connection, call, message.range_id, stage_of(ballot)):
            return
        value = device.index.get(key)
        row = None if value is None else rows.unpack_register(value)
        acceptor = device.acceptor
        blocking = acceptor.refusal(key, ballot, b"" if row is None else row.ballot)
        if blocking is not None:
            connection.reply(call, wire.REFUSED, wire.encode(wire.Refusal(blocking)))
            return
        needed = acceptor.needs_ceiling(ballot)
        if needed is not None:
            self._raise_ceiling(
                device,
                needed,
                lambda: self._prepare(device, connection, call),
                lambda: connection.reply(call, wire.FAILED),
            )
            return
        acceptor.promise(key, ballot)
        ahead = acceptor.wants_ceiling(clock_of(ballot))
        if ahead is not None and device.identity.device not in self._ceiling_waiters:
            self._raise_ceiling(device, ahead, _nothing, _nothing)
        self._reply_held(device, connection, call, row, message.want)

    def _raise_ceiling(
        self,
        device: Device,
        ceiling_us: int,
        again: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        """Sync a higher promise ceiling, then go on."""
        waiters = self._ceiling_waiters.get(device.identity.device)
        if waiters is not None:
            waiters.append(again)
            return
        self._ceiling_waiters[device.identity.device] = [again]

        def done(error: OSError | None) -> None:
            waiting = self._ceiling_waiters.pop(device.identity.device)
            if error is None:
                device.acceptor.ceiling_synced(ceiling_us)
            else:
                log.error("cannot sync a promise ceiling: %s", error)
                failed()
                waiting.pop(0)
            for call_again in waiting:
                call_again()

        device.write_ceiling(ceiling_us, done)

    def _accept(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_accept(call.head)
        key = rows.register_key(message.range_id, message.name)
        if self._later(device, key, lambda: self._accept(device, connection, call)):
            return
        if self._stale(device, connection, call, message.range_id, stage_of(message.ballot)):
            return
        if wire.digest_of(call.body) != message.digest:
            connection.reply(call, wire.CORRUPT)
            return
        held = device.held_ballot(key)
        if held == message.ballot:  # the same accept again: its first answer was lost
            connection.reply(call, wire.OK)
            return
        blocking = device.acceptor.accept_refusal(key, message.ballot, held)
        if blocking is not None:
            connection.reply(call, wire.REFUSED, wire.encode(wire.Refusal(blocking)))
            return
        grows = message.flags & wire.LIVE and len(call.body) > 512
        if grows and not device.room_for(len(call.body)):
            connection.reply(call, wire.FULL)
            return
        device.acceptor.accepting(key, message.ballot)
        slot = (device.identity.device, key)
        self._writing[slot] = []

        def done(error: OSError | None) -> None:
            waiting = self._writing.pop(slot)
            if error is None:
                device.acceptor.stored(key, message.ballot)
            connection.reply(call, status_of(error))
            for again in waiting:
                again()

        device.write_register(message, call.body, done)

    def _read(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_read(call.head)
        key = rows.register_key(message.range_id, message.name)
        if self._later(device, key, lambda: self._read(device, connection, call)):
            return
        if self._stale(device, connection, call, message.range_id, message.stage):
            return
        value = device.index.get(key)
        row = None if value is None else rows.unpack_register(value)
        self._reply_held(device, connection, call, row, message.want)

    def _reply_held(
        self,
        device: Device,
        connection: ServerConnection,
        call: Frame,
        row: RegisterRow | None,
        want: int,
    ) -> None:
        """Answer with what is held, and as much of its body as is wanted."""
        if row is None:
            connection.reply(call, wire.OK, _HELD_NOTHING)
            return
        in_row = bool(row.meta) or not row.meta_bytes
        if want == wire.WANT_BALLOT:
            front, length = b"", 0
        elif want == wire.WANT_META or not row.inline_bytes:
            front = row.summary + row.meta if in_row else b""
            length = row.summary_bytes + row.meta_bytes - len(front)
        else:
            front = b""
            length = row.summary_bytes + row.meta_bytes + row.inline_bytes
        held = wire.Held(
            row.ballot,
            row.flags,
            row.size,
            row.expires_s,
            row.digest,
            row.summary_bytes,
            row.meta_bytes,
            row.inline_bytes,
        )
        head = wire.encode(held)
        if not length:
            connection.reply(call, wire.OK, head, front)
            return
        offset = row.body_offset + len(front)
        data = device.log.read_cached(row.place.segment, offset, length)
        if data is not None:
            self._reply_body(connection, call, head, row, front + data)
            return
        self._spawn(self._reply_read(device, connection, call, head, row, front, length))

    async def _reply_read(
        self,
        device: Device,
        connection: ServerConnection,
        call: Frame,
        head: bytes,
        row: RegisterRow,
        front: bytes,
        length: int,
    ) -> None:
        try:
            data = await device.log.read(row.place.segment, row.body_offset + len(front), length)
        except (OSError, Corrupt) as error:
            log.error("a register cannot be read from %s: %s", device.identity.name, error)
            connection.reply(call, wire.FAILED)
            return
        self._reply_body(connection, call, head, row, front + data)

    def _reply_body(
        self,
        connection: ServerConnection,
        call: Frame,
        head: bytes,
        row: RegisterRow,
        body: bytes,
    ) -> None:
        """Send a body read from the log; a complete one is verified before it leaves the device."""
        whole = row.summary_bytes + row.meta_bytes + row.inline_bytes
        if len(body) == whole and wire.digest_of(body) != row.digest:
            connection.reply(call, wire.CORRUPT)
            return
        connection.reply(call, wire.OK, head, body)

    def _fence(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_fence(call.head)
        if self._stale(device, connection, call, message.range_id, message.stage):
            return
        device.write(
            records.FENCE,
            message.range_id,
            message.stage.to_bytes(4, "big"),
            (),
            lambda error: connection.reply(call, status_of(error)),
        )

    # -- ranges --------------------------------------------------------------------------------

    def _list(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_list(call.head)
        if self._stale(device, connection, call, message.range_id, message.stage):
            return
        connection.reply(call, wire.OK, b"", list_page(device.index, message))

    def _stats(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_stats_call(call.head)
        answer = []
        for range_id in message.range_ids:
            row = device.stats(range_id)
            answer.append(wire.RangeStats(row.live_count, row.size_bytes, row.digest, row.top))
        connection.reply(call, wire.OK, b"", wire.encode(answer))

    def _expired(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_expired_call(call.head)
        end = rows.EXPIRY_TABLE + message.before_s.to_bytes(8, "big")
        found: list[wire.ExpiredRow] = []
        for key, _ in device.index.scan(rows.EXPIRY_TABLE, end):
            if len(found) >= message.limit:
                break
            range_id = key[9 : 9 + wire.RANGE_BYTES]
            value = device.index.get(rows.REGISTER_TABLE + key[9:])
            if value is None:
                continue
            row = rows.unpack_register(value)
            name = row.name or key[9 + wire.RANGE_BYTES :]
            stage = device.stats(range_id).stage
            found.append(wire.ExpiredRow(range_id, name, row.ballot, stage))
        connection.reply(call, wire.OK, b"", wire.encode(found))

    # -- blobs ---------------------------------------------------------------------------------

    def _put_blob(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_put_blob(call.head)
        if not sums_match(call.body, message.sums):
            connection.reply(call, wire.CORRUPT)
            return
        if not device.room_for(len(call.body)):
            connection.reply(call, wire.FULL)
            return
        device.write_blob(
            message, call.body, lambda error: connection.reply(call, status_of(error))
        )

    def _get_blob(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_get_blob(call.head)
        row = device.blob(message.blob, message.fragment)
        if row is None:
            connection.reply(call, wire.ABSENT)
            return
        self._spawn(self._send_blob(device, connection, call, message, row))

    async def _send_blob(
        self,
        device: Device,
        connection: ServerConnection,
        call: Frame,
        message: wire.GetBlob,
        row: BlobRow,
    ) -> None:
        """Read the wanted blocks and their sums, verify, send."""
        first = message.start // SUM_BLOCK_BYTES
        last = min(row.body_bytes, message.start + message.length)
        start = first * SUM_BLOCK_BYTES
        end = min(row.body_bytes, -(-last // SUM_BLOCK_BYTES) * SUM_BLOCK_BYTES)
        body_at = row.place.offset + row.place.length - row.body_bytes
        try:
            head = await self._bytes(
                device, row.place.segment, body_at - row.head_bytes, row.head_bytes
            )
            data = await self._bytes(
                device, row.place.segment, body_at + start, max(0, end - start)
            )
            blob_head = records.decode_blob_head(head)
        except (OSError, Corrupt, msgspec.MsgspecError) as error:
            log.error("a blob cannot be read from %s: %s", device.identity.name, error)
            connection.reply(call, wire.FAILED)
            return
        sums = blob_head.sums[first * 16 : (first + -(-(end - start) // SUM_BLOCK_BYTES)) * 16]
        if not sums_match(data, sums):
            log.error("a blob on %s does not verify", device.identity.name)
            connection.reply(call, wire.CORRUPT)
            return
        answer = wire.BlobBytes(start, row.body_bytes, blob_head.total, sums)
        connection.reply(call, wire.OK, wire.encode(answer), data)
        await connection.writable()

    async def _bytes(self, device: Device, segment: int, offset: int, length: int) -> bytes:
        if length <= LARGE_READ_BYTES:
            data = device.log.read_cached(segment, offset, length)
            if data is not None:
                return data
        return await device.log.read(segment, offset, length)

    def _drop_blobs(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_drop(call.head)
        held = [
            blob
            for blob in message.blobs
            if any(
                True
                for _ in device.index.scan(
                    rows.BLOB_TABLE + blob, rows.BLOB_TABLE + blob + b"\xff\xff"
                )
            )
        ]
        if not held:
            connection.reply(call, wire.OK)
            return
        device.write(
            records.DROP,
            b"",
            b"".join(held),
            (),
            lambda error: connection.reply(call, status_of(error)),
        )

    # -- the node ------------------------------------------------------------------------------

    def _status(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        connection.reply(call, wire.OK, b"", wire.encode([device.status()]))

    def _status_all(self, connection: ServerConnection, call: Frame) -> None:
        statuses = [device.status() for device in self.devices.values()]
        connection.reply(call, wire.OK, b"", wire.encode(statuses))

    def _spawn(self, work) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self, *, clean: bool) -> None:
        """Stop listening, let writes finish, close the devices."""
        self.frames.close()
        for device in self.devices.values():
            await device.log.idle()
            device.close(clean=clean)


_HELD_NOTHING = wire.encode(wire.Held())


def status_of(error: OSError | None) -> int:
    """Reply status of a finished write."""
    if error is None:
        return wire.OK
    return wire.FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else wire.FAILED


def _nothing() -> None:
    """For a ceiling that nobody waits for."""
