"""The transmission phase of an NBD connection: requests in, replies out, as many at once as the client likes.

Promises: a request is answered exactly once, after its effect; replies may overtake each other, a flush covers
every write that was answered before it came; what a client may have under way is bounded, beyond that
it is not read from; a client that goes away leaves its requests to end in peace. Payloads of writes are
received into their own buffer, without a copy.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import cast

from blockd.export import Export
from blockd.nbd import wire
from blockd.nbd.negotiation import ALLOCATION, DIFFERENCE, Agreed
from blockd.nbd.wire import Command, Error, Flag, Replies, Request, StatusRun
from core.errors import Corrupt, Full, Refused, RingstackError
from volume.port import Extent, Fenced

log = logging.getLogger("ringstack.nbd")

BUFFER_BYTES = 64 * 1024
REQUESTS_MAX = 256  # under way on one connection
BYTES_MAX = 128 << 20
WRITE_HIGH_BYTES = 16 << 20
RUNS_MAX = 8192  # of a block status reply
STATUS_BYTES_MAX = 1 << 30  # looked at for one block status
LENGTH_MAX = 0xFFFF_FFFF
PAYLOAD_FLAGS = Flag.FUA | Flag.PAYLOAD_LEN
ALLOWED = {  # beside FUA, which is valid on all of them (proto.md, "Command flags") and means nothing where nothing is written
    Command.READ: Flag.DF,
    Command.WRITE: Flag(0),
    Command.FLUSH: Flag(0),
    Command.TRIM: Flag(0),
    Command.CACHE: Flag(0),
    Command.WRITE_ZEROES: Flag.NO_HOLE | Flag.FAST_ZERO,
    Command.BLOCK_STATUS: Flag.REQ_ONE,
}
WRITING = frozenset({Command.WRITE, Command.TRIM, Command.WRITE_ZEROES})


class Transmission(asyncio.BufferedProtocol):
    """One connection after its handshake. `gone` is called once it has ended and nothing of it is under way."""

    def __init__(self, export: Export, agreed: Agreed, gone: Callable[[], None]) -> None:
        self._export = export
        self._extended = agreed.extended
        self._contexts = agreed.contexts
        self._replies = Replies(structured=agreed.structured, extended=agreed.extended)
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray(BUFFER_BYTES)
        self._start = self._end = 0
        self._header_bytes = (wire.EXTENDED_REQUEST if agreed.extended else wire.REQUEST).size
        self._request: Request | None = None  # whose payload is being received
        self._payload = bytearray()
        self._payload_end = 0
        self._running: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._clogged = False  # the client does not read its replies
        self._held = False  # too much is under way: it is not read from
        self._leaving = False

    # -- the transport -------------------------------------------------------------------------

    def begin(self, transport: asyncio.Transport, rest: bytes) -> None:
        """Take over a connection and what has been read of it already."""
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        view = memoryview(rest)
        while view and self._transport is not None:
            room = self.get_buffer(len(view))
            taken = min(len(room), len(view))
            room[:taken] = view[:taken]
            view = view[taken:]
            self.buffer_updated(taken)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """After a change of the transport's layers."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Requests under way end by themselves."""
        del exc
        self._transport = None
        if not self._running:
            self._gone()

    def eof_received(self) -> bool:
        """Answer what is under way before the connection is closed (TLS cannot stay half open)."""
        self._leave()
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is None

    def pause_writing(self) -> None:
        """The client reads slower than it asks."""
        self._clogged = True
        self._hold()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._clogged = False
        self._go_on()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        del sizehint
        if self._request is not None:
            return memoryview(self._payload)[self._payload_end :]
        if self._end == BUFFER_BYTES:
            rest = self._buffer[self._start : self._end]
            self._buffer[: len(rest)] = rest
            self._start, self._end = 0, len(rest)
        return memoryview(self._buffer)[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Act on what is complete."""
        if self._request is not None:
            self._payload_end += nbytes
            if self._payload_end == len(self._payload):
                self._payload_complete()
        else:
            self._end += nbytes
        self._parse_or_abort()

    def _parse_or_abort(self) -> None:
        try:
            self._parse()
        except Corrupt as error:
            log.info("closing a connection to %s: %s", self._export.name, error.message)
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        self._leaving = True
        if self._transport is not None:
            self._transport.abort()

    def _leave(self) -> None:
        self._leaving = True
        if not self._running and self._transport is not None:
            self._transport.close()

    def _hold(self) -> None:
        if not self._held and self._transport is not None:
            self._held = True
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if not self._held or self._clogged or self._full() or self._transport is None:
            return
        self._held = False
        self._transport.resume_reading()
        self._parse_or_abort()

    def _full(self) -> bool:
        return len(self._running) >= REQUESTS_MAX or self._bytes >= BYTES_MAX

    # -- requests ------------------------------------------------------------------------------

    def _parse(self) -> None:
        while self._request is None and not self._leaving:
            if self._full():
                self._hold()
            if self._held:
                return
            if self._end - self._start < self._header_bytes:
                break
            view = memoryview(self._buffer)[self._start : self._start + self._header_bytes]
            request = wire.decode_request(view, extended=self._extended)
            self._start += self._header_bytes
            if self._has_payload(request):
                self._begin_payload(request)
            else:
                self._start_request(request, b"")
        if self._start == self._end:
            self._start = self._end = 0

    def _has_payload(self, request: Request) -> bool:
        if request.command == Command.WRITE:
            return request.length > 0
        return self._extended and bool(request.flags & Flag.PAYLOAD_LEN) and request.length > 0

    def _begin_payload(self, request: Request) -> None:
        """Receive what follows. A payload beyond the announced limit ends the connection. Raises Corrupt."""
        if request.length > wire.PAYLOAD_BYTES_MAX:
            raise Corrupt("TooLong", f"a payload of {request.length} bytes")
        have = min(self._end - self._start, request.length)
        self._payload = bytearray(request.length)
        self._payload[:have] = self._buffer[self._start : self._start + have]
        self._start += have
        self._request, self._payload_end = request, have
        if have == request.length:
            self._payload_complete()

    def _payload_complete(self) -> None:
        request, payload = self._request, self._payload
        assert request is not None
        self._request, self._payload = None, bytearray()
        self._start_request(request, payload)

    def _start_request(self, request: Request, payload: bytes | bytearray) -> None:
        if request.command == Command.DISC:
            self._leave()
            return
        self._bytes += max(len(payload), self._answer_bytes(request))
        task = asyncio.get_running_loop().create_task(self._run(request, payload))
        self._running.add(task)
        task.add_done_callback(self._ended)

    @staticmethod
    def _answer_bytes(request: Request) -> int:
        return min(request.length, wire.PAYLOAD_BYTES_MAX) if request.command == Command.READ else 0

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not self._running and self._leaving and self._transport is not None:
            self._transport.close()
        if not self._running and self._transport is None:
            self._gone()
        self._go_on()

    async def _run(self, request: Request, payload: bytes | bytearray) -> None:
        """Do one request and answer it, whatever happens."""
        try:
            error = self._refusal(request)
            if error is None:
                await self._export.admit(
                    writing=request.command in WRITING, byte_count=self._cost(request)
                )
                answer = await self._do(request, payload)
            else:
                answer = [self._replies.error(request, *error)]
        except RingstackError as failure:
            answer = [self._replies.error(request, number_of(failure), failure.message)]
        except MemoryError:
            answer = [self._replies.error(request, Error.ENOMEM)]
        finally:
            self._bytes -= max(len(payload), self._answer_bytes(request))
        if self._transport is not None:
            for part in answer:
                self._transport.write(part)

    @staticmethod
    def _cost(request: Request) -> int:
        return request.length if request.command in {Command.READ, Command.WRITE} else 0

    def _refusal(self, request: Request) -> tuple[Error, str] | None:
        """Why a request cannot be done at all; None when it can be tried."""
        try:
            command = Command(request.command)
        except ValueError:
            return Error.EINVAL, "the command is not known"
        allowed = ALLOWED[command] | Flag.FUA
        if command == Command.WRITE and self._extended:
            allowed |= Flag.PAYLOAD_LEN
            if not request.flags & Flag.PAYLOAD_LEN:
                return Error.EINVAL, "a write has a payload"
        if request.flags & ~int(allowed):
            return Error.EINVAL, "a flag does not belong to this command"
        if command in WRITING and self._export.disk.read_only:
            return Error.EPERM, "the export is read-only"
        if command == Command.FLUSH:
            return (Error.EINVAL, "a flush has no range") if request.length else None
        return self._range_refusal(request, command)

    def _range_refusal(self, request: Request, command: Command) -> tuple[Error, str] | None:
        if request.offset + request.length > self._export.disk.size:
            number = Error.ENOSPC if command in WRITING else Error.EINVAL
            return number, "the range goes beyond the end"
        if request.length == 0:
            return Error.EINVAL, "the range is empty"
        if command == Command.READ and request.length > wire.PAYLOAD_BYTES_MAX:
            return Error.EOVERFLOW, "more than 32 MiB are asked for at once"
        if command == Command.BLOCK_STATUS and not self._contexts:
            return Error.EINVAL, "no metadata context was negotiated"
        return None

    async def _do(self, request: Request, payload: bytes | bytearray) -> list[bytes]:
        disk, replies = self._export.disk, self._replies
        durable = bool(request.flags & Flag.FUA)
        match request.command:
            case Command.READ:
                return await self._read(request)
            case Command.WRITE:
                await disk.write(request.offset, memoryview(payload), durable=durable)
            case Command.FLUSH:
                await disk.flush()
            case Command.TRIM:
                await disk.zero(request.offset, request.length, durable=durable)
            case Command.WRITE_ZEROES:
                allocate = bool(request.flags & Flag.NO_HOLE)
                if allocate and request.flags & Flag.FAST_ZERO:
                    return [replies.error(request, Error.ENOTSUP, "not faster than writing")]
                await disk.zero(request.offset, request.length, durable=durable, allocate=allocate)
            case Command.CACHE:
                await self._cache(request)
            case Command.BLOCK_STATUS:
                return await self._block_status(request)
        return [replies.done(request)]

    async def _read(self, request: Request) -> list[bytes]:
        disk = self._export.disk
        if self._replies.structured:
            runs = await disk.extents(request.offset, request.length)
            if len(runs) == 1 and not runs[0].data:
                return [self._replies.hole(request)]
        data = await disk.read(request.offset, request.length)
        return [self._replies.data(request), data]

    async def _cache(self, request: Request) -> None:
        """Read without sending, a piece at a time."""
        step = 4 << 20
        end = min(request.offset + request.length, request.offset + wire.PAYLOAD_BYTES_MAX)
        for offset in range(request.offset, end, step):
            await self._export.disk.read(offset, min(step, end - offset))

    async def _block_status(self, request: Request) -> list[bytes]:
        length = min(request.length, STATUS_BYTES_MAX)
        one = bool(request.flags & Flag.REQ_ONE)
        rows = []
        for number, context in self._contexts.items():
            if context == ALLOCATION:
                runs = await self._export.disk.extents(request.offset, length)
                states = [_run(run, 0, wire.STATE_HOLE | wire.STATE_ZERO) for run in runs]
            else:
                since = self._export.snapshots[context.removeprefix(DIFFERENCE)]
                runs = await self._export.disk.changed(since, request.offset, length)
                states = [_run(run, wire.STATE_DIRTY, 0) for run in runs]
            rows.append((number, states[:1] if one else states[:RUNS_MAX]))
        return [self._replies.status(request, rows)]


def _run(extent: Extent, data: int, hole: int) -> StatusRun:
    return StatusRun(min(extent.length, LENGTH_MAX), data if extent.data else hole)


def number_of(failure: RingstackError) -> Error:
    """How an error of ours is told in this protocol."""
    if isinstance(failure, Fenced):
        return Error.ESHUTDOWN
    if isinstance(failure, Full):
        return Error.ENOSPC
    if isinstance(failure, Refused):
        return Error.EPERM if failure.code == "ReadOnly" else Error.EINVAL
    return Error.EIO
