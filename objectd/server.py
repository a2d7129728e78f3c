"""Frames to calls: what objectd answers, for a group of devices.

Registers: a call on a register whose accept is still being written waits for it, so the acceptor's
state never runs ahead of the disk, and a fence counts from the moment it is on its way there. A device
that has failed answers FAILED to writes and goes on reading; one without room answers FULL to everything
that grows, tombstones excepted. Whatever is read from the disk is verified, and known to be what was asked
for, before it is sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from core.env import Env
from core.errors import Corrupt
from core.frame import Frame
from core.link import FrameServer, ServerConnection
from core.stamp import ZERO, clock_of, config_of, make_ballot, stage_of
from core.trust import Trust
from objectd import inventory, rows, wire
from objectd import record as records
from objectd.blobcalls import BlobCalls, status_of
from objectd.device import Device
from objectd.index import BAD_ROW
from objectd.listing import Pager
from objectd.pagecache import PageCache
from objectd.placement import Placement
from objectd.reclaimcalls import ReclaimCalls
from objectd.ringcalls import RingCalls
from objectd.rows import RegisterRow
from objectd.sweepcalls import SweepCalls

log = logging.getLogger("ringstack.objectd")

FLAGS = wire.LIVE | wire.GONE | wire.NAMES  # that a record may have on the wire

Operation = Callable[[Device, ServerConnection, Frame], None]


class Told(NamedTuple):
    """The range's floor (empty: none) and the device's generation, as of when a row was looked at."""

    floor: bytes
    generation: int


class ObjectServer:
    """Dispatches frames to the devices of one process."""

    def __init__(
        self,
        env: Env,
        key: bytes,
        devices: dict[int, Device],
        placement: Placement,
        *,
        trust: Trust | None = None,
    ) -> None:
        self.env = env
        self.devices = devices
        self.frames = FrameServer(env, key, self.handle, trust=trust)
        self.calls: dict[int, int] = {}
        self.client_calls = 0
        self._writing: dict[tuple[int, bytes], list[Callable[[], None]]] = {}
        self._fencing: dict[tuple[int, bytes], int] = {}
        self._pages = PageCache()
        self._ceiling_waiters: dict[int, list[Callable[[], None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.ring = RingCalls(self.frames, devices, placement, self._writing.keys, self._spawn)
        self._operations: dict[int, Operation] = {
            wire.PREPARE: self._prepare,
            wire.ACCEPT: self._accept,
            wire.READ: self._read,
            wire.FENCE: self._fence,
            wire.LIST: self._list,
            wire.STATS: self._stats,
            wire.EXPIRED: self._expired,
            **inventory.OPERATIONS,
            **self.ring.operations,
            **ReclaimCalls(self.ring.misplaced).operations,
            **SweepCalls(self._spawn).operations,
            **BlobCalls(self._spawn, lambda: self.frames.epoch).operations,
        }
        self._whole: dict[int, Callable[[ServerConnection, Frame], None]] = {
            wire.STATUS: self._status_all,
            **self.ring.whole,
        }

    def handle(self, connection: ServerConnection, call: Frame) -> None:
        """Answer one frame, now or later."""
        self.calls[call.operation] = self.calls.get(call.operation, 0) + 1
        self.client_calls += not call.status
        whole = self._whole.get(call.operation)
        operation = self._operations.get(call.operation)
        if whole is None and operation is None:
            connection.reply(call, wire.BAD)
            return
        try:
            if whole is not None:
                whole(connection, call)
                return
            assert operation is not None
            device = self.devices.get(call.device)
            if device is None:
                connection.reply(call, wire.FAILED)
                return
            self._perform(operation, device, connection, call)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            log.warning("a malformed call was refused: %s", error)
            connection.reply(call, wire.BAD)

    @staticmethod
    def _perform(
        operation: Operation, device: Device, connection: ServerConnection, call: Frame
    ) -> None:
        """Answer a call on a device; one that meets damage of the index has failed."""
        try:
            operation(device, connection, call)
        except Corrupt as error:
            if error.code != BAD_ROW:
                raise
            device.index_is_bad(error)
            connection.reply(call, wire.FAILED)

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
        coming = self._fencing.get((device.identity.device, range_id), 0)
        seen = max(device.stats(range_id).stage, coming)
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
        if self.ring.misplaced(connection, call, message.range_id, config_of(ballot)):
            return
        if self._stale(device, connection, call, message.range_id, stage_of(ballot)):
            return
        value = device.index.get(key)
        row = None if value is None else rows.unpack_register(value)
        acceptor = device.acceptor
        blocking = acceptor.refusal(key, ballot, b"" if row is None else row.ballot)
        floor = device.reclaim.floor(message.range_id)
        if blocking is None and ballot <= floor:
            blocking = floor
        if blocking is not None:
            connection.reply(call, wire.REFUSED, wire.encode(wire.Refusal(blocking)))
            return
        if row is not None and row.damaged:
            connection.reply(call, wire.CORRUPT)
            return
        if not self._may_promise(device, connection, call, message):
            return
        acceptor.promise(key, ballot)
        ahead = acceptor.wants_ceiling(clock_of(ballot))
        if ahead is not None and device.identity.device not in self._ceiling_waiters:
            self._raise_ceiling(device, ahead, _nothing, _nothing)
        told = told_of(device, message.range_id)
        self._reply_held(device, connection, call, row, want=message.want, told=told)

    def _may_promise(
        self, device: Device, connection: ServerConnection, call: Frame, message: wire.Prepare
    ) -> bool:
        """False when the disk must learn something first; the call is repeated after that.

        A promise is kept in memory only. After a restart the ceiling stands for its clock, and the fence
        for its stage, which outranks any clock.
        """

        def again() -> None:
            self._prepare(device, connection, call)

        def failed() -> None:
            connection.reply(call, wire.FAILED)

        def told(error: OSError | None) -> None:
            again() if error is None else failed()

        if message.generation > device.generation.coming:
            device.generation.raise_to(message.generation, told)
            return False
        stage = stage_of(message.ballot)
        if stage > device.stats(message.range_id).stage:
            self._write_fence(
                device,
                message.range_id,
                stage,
                told,
            )
            return False
        needed = device.acceptor.needs_ceiling(message.ballot)
        if needed is not None:
            self._raise_ceiling(device, needed, again, failed)
            return False
        return True

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
        if not message.chosen and (
            self.ring.misplaced(connection, call, message.range_id, config_of(message.ballot))
            or self._stale(device, connection, call, message.range_id, stage_of(message.ballot))
        ):
            return
        if message.summary_bytes + message.meta_bytes > len(call.body) or message.flags & ~FLAGS:
            connection.reply(call, wire.BAD)
            return
        if wire.digest_of(call.body) != message.digest:
            connection.reply(call, wire.CORRUPT)
            return
        value = device.index.get(key)
        row = None if value is None else rows.unpack_register(value)
        held = ZERO if row is None else row.ballot
        damaged = row is not None and row.damaged
        if held == message.ballot and not damaged:  # again: its first answer was lost
            connection.reply(call, wire.OK)
            return
        if message.chosen:  # a fact to be learned: only something newer can stand in its way
            blocking = held if held > message.ballot else None
        else:
            blocking = device.acceptor.accept_refusal(key, message.ballot, held)
        floor = device.reclaim.floor(message.range_id)
        if blocking is None and message.ballot <= floor and not _harmless(message, floor):
            blocking = floor
        if blocking is not None:
            connection.reply(call, wire.REFUSED, wire.encode(wire.Refusal(blocking)))
            return
        late = device.generation.refusal(message)
        if late is not None:
            connection.reply(call, late, wire.encode(wire.Refusal(message.ballot)))
            return
        grows = message.flags & wire.LIVE and len(call.body) > 512
        if grows and not device.room_for(len(call.body)):
            connection.reply(call, wire.FULL)
            return
        if not message.chosen:
            device.acceptor.accepting(key, message.ballot)
        slot = (device.identity.device, key)
        self._writing[slot] = []

        def done(error: OSError | None) -> None:
            waiting = self._writing.pop(slot)
            self.ring.written(slot)
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
        if self.ring.misplaced(connection, call, message.range_id, message.config):
            return
        if self._stale(device, connection, call, message.range_id, message.stage):
            return
        value = device.index.get(key)
        row = None if value is None else rows.unpack_register(value)
        told = told_of(device, message.range_id)
        self._reply_held(device, connection, call, row, want=message.want, told=told)

    def _reply_held(
        self,
        device: Device,
        connection: ServerConnection,
        call: Frame,
        row: RegisterRow | None,
        *,
        want: int,
        told: Told,
    ) -> None:
        """Answer with what is held, and as much of its body as is wanted."""
        if row is None:
            head = (
                _HELD_NOTHING if told == _NOTHING_TOLD else wire.encode(wire.Held(*_ABSENT, *told))
            )
            connection.reply(call, wire.OK, head)
            return
        if row.damaged:
            connection.reply(call, wire.CORRUPT)
            return
        in_row = bool(row.meta) or not row.meta_bytes
        if want == wire.WANT_BALLOT:
            connection.reply(call, wire.OK, held_of(row, told))
        elif in_row and (want == wire.WANT_META or not row.inline_bytes):
            connection.reply(call, wire.OK, held_of(row, told), row.summary + row.meta)
        else:
            self._reply_logged(device, connection, call, row, want=want, told=told)

    def _reply_logged(
        self,
        device: Device,
        connection: ServerConnection,
        call: Frame,
        row: RegisterRow,
        *,
        want: int,
        told: Told,
    ) -> None:
        """Answer with a body from the log, at once when it is in memory."""
        try:
            data = device.log.read_cached(row.place.segment, row.body_offset, row.whole_bytes)
        except (OSError, Corrupt):
            data = None
        if data is not None:
            _reply_verified(device, connection, call, row, want=want, told=told, data=data)
            return
        self._spawn(self._reply_read(device, connection, call, row, want=want, told=told))

    async def _reply_read(
        self,
        device: Device,
        connection: ServerConnection,
        call: Frame,
        row: RegisterRow,
        *,
        want: int,
        told: Told,
    ) -> None:
        try:
            data = await device.log.read(row.place.segment, row.body_offset, row.whole_bytes)
        except (OSError, Corrupt) as error:
            log.error("a register cannot be read from %s: %s", device.identity.name, error)
            connection.reply(call, wire.FAILED)
            return
        _reply_verified(device, connection, call, row, want=want, told=told, data=data)

    def _fence(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_fence(call.head)
        if self.ring.misplaced(connection, call, message.range_id, message.config):
            return
        if self._stale(device, connection, call, message.range_id, message.stage):
            return
        self._write_fence(
            device,
            message.range_id,
            message.stage,
            lambda error: connection.reply(call, status_of(error)),
        )

    def _write_fence(
        self, device: Device, range_id: bytes, stage: int, done: Callable[[OSError | None], None]
    ) -> None:
        """Make a fence durable. It counts at once.

        What would be accepted at an older stage from now on would be durable after the fence, and a listing
        behind the fence could miss it.
        """
        slot = (device.identity.device, range_id)
        self._fencing[slot] = max(stage, self._fencing.get(slot, 0))

        def written(error: OSError | None) -> None:
            if self._fencing.get(slot) == stage:
                del self._fencing[slot]
            done(error)

        device.write(records.FENCE, range_id, stage.to_bytes(4, "big"), (), written)

    # -- ranges --------------------------------------------------------------------------------

    def _list(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_list(call.head)
        if self.ring.misplaced(connection, call, message.range_id, message.config):
            return
        if self._stale(device, connection, call, message.range_id, message.stage):
            return
        page = self._known_page(device, message)
        if page is not None:
            _reply_page(connection, call, message, page)
            return
        pager = Pager(msgspec.structs.replace(message, known=b""))
        version = _version(device, message)
        page = pager.step(device.index)
        if page is None:
            self._spawn(self._list_on(device, connection, call, message, pager))
            return
        self._pages.put(_page_key(device, message), version, page)
        _reply_page(connection, call, message, page)

    async def _list_on(
        self,
        device: Device,
        connection: ServerConnection,
        call: Frame,
        message: wire.ListCall,
        pager: Pager,
    ) -> None:
        """Go on with a scan through many tombstones, letting others in between."""
        version = _version(device, message)
        page = None
        try:
            while page is None:
                await asyncio.sleep(0)
                page = pager.step(device.index)
        except Corrupt as error:
            device.index_is_bad(error)
            connection.reply(call, wire.FAILED)
            return
        if version == _version(device, message):
            self._pages.put(_page_key(device, message), version, page)
        _reply_page(connection, call, message, page)

    def _known_page(self, device: Device, message: wire.ListCall) -> bytes | None:
        """The page from the cache, while nothing in its range has changed; with rows if they may go out."""
        version = _version(device, message)
        full = msgspec.structs.replace(message, digest_only=False)
        page = self._pages.get(_page_key(device, full), version)
        if page is not None:
            return page
        bare = msgspec.structs.replace(message, digest_only=True)
        page = self._pages.get(_page_key(device, bare), version)
        if page is None or message.digest_only or message.known == wire.digest_of_page(page):
            return page
        return None

    def _stats(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_stats_call(call.head)
        answer = []
        if len(message.configs) != len(message.range_ids):
            connection.reply(call, wire.BAD)
            return
        for range_id, config in zip(message.range_ids, message.configs, strict=True):
            if self.ring.misplaced(connection, call, range_id, config):
                return
            row = device.stats(range_id)
            answer.append(
                wire.RangeStats(
                    row.live_count,
                    row.size_bytes,
                    row.digest,
                    row.top,
                    row.stage,
                    row.held,
                    row.floor,
                )
            )
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

    # -- the node ------------------------------------------------------------------------------

    def _status_all(self, connection: ServerConnection, call: Frame) -> None:
        statuses = [self._status_of(device) for device in self.devices.values()]
        connection.reply(call, wire.OK, b"", wire.encode(statuses))

    def _status_of(self, device: Device) -> wire.DeviceStatus:
        return msgspec.structs.replace(device.status(), client_calls=self.client_calls)

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
_NOTHING_TOLD = Told(b"", 0)
_ABSENT = (ZERO, 0, 0, 0, b"", 0, 0, 0)


def _version(device: Device, message: wire.ListCall) -> tuple[bytes, bytes]:
    """What changes with every record of a range."""
    stats = device.stats(message.range_id)
    return stats.digest, stats.top


def _page_key(device: Device, message: wire.ListCall) -> bytes:
    wanted = msgspec.structs.replace(message, known=b"")
    return device.identity.device.to_bytes(4, "big") + wire.encode(wanted)


def _reply_page(
    connection: ServerConnection, call: Frame, message: wire.ListCall, page: bytes
) -> None:
    """Send a page; without its rows when the caller wants or has only the digest."""
    if message.digest_only or message.known == wire.digest_of_page(page):
        page = wire.without_rows(page)
    connection.reply(call, wire.OK, b"", page)


def told_of(device: Device, range_id: bytes) -> Told:
    """What the head of such a reply tells beside that."""
    floor = device.reclaim.floor(range_id)
    return Told(b"" if floor == ZERO else floor, device.generation.number)


def held_of(row: RegisterRow, told: Told) -> bytes:
    """Head of a reply that tells what is held."""
    return wire.encode(
        wire.Held(
            row.ballot,
            row.flags,
            row.size,
            row.expires_s,
            row.digest,
            row.summary_bytes,
            row.meta_bytes,
            row.inline_bytes,
            *told,
        )
    )


def _reply_verified(
    device: Device,
    connection: ServerConnection,
    call: Frame,
    row: RegisterRow,
    *,
    want: int,
    told: Told,
    data: bytes,
) -> None:
    """Send what is wanted of a body read from the log, once all of it has been verified."""
    if wire.digest_of(data) != row.digest:
        decode = wire.decode_read if call.operation == wire.READ else wire.decode_prepare
        message = decode(call.head)
        device.damage.register(message.range_id, message.name, row)
        connection.reply(call, wire.CORRUPT)
        return
    front = row.summary_bytes + row.meta_bytes
    body = data if want == wire.WANT_ALL else data[:front]
    connection.reply(call, wire.OK, held_of(row, told), body)


def _harmless(message: wire.Accept, floor: bytes) -> bool:
    """What may be stored at or below a floor: a dead record, or one chosen and held since the floor rose."""
    return message.chosen and (bool(message.flags & wire.GONE) or message.floor >= floor)


def _nothing() -> None:
    """For a ceiling that nobody waits for."""
