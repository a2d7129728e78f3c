"""Kept-alive HTTP connections of a load generator: a head and a body out, an answer in.

Built on bare asyncio protocols, because the client must cost little beside the server it measures on
the same machine. A pool opens as many connections as there are requests at once and uses the one that
was free last. A request that meets a connection which the server has closed meanwhile is sent
again, once, if its body can be; nothing else is ever retried, so every failure is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import NamedTuple, cast
from urllib.parse import urlsplit

from bench.response import BadResponse, ResponseParser, header_fields
from core.errors import RingstackError

Body = bytes | AsyncIterator[bytes] | Iterable[bytes]

TIMEOUT_S = 120.0  # without any progress
BUFFER_BYTES_HIGH = 4 * 1024 * 1024


class Failed(RingstackError):
    """A request was not answered, or not as its caller expected."""


class Answer(NamedTuple):
    """A whole response. `head` is as it was sent, `fields` parses it."""

    status: int
    head: bytes
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        """Headers by name in lower case."""
        return header_fields(self.head)

    def expect(self, *statuses: int) -> Answer:
        """This answer, if its status is one of those (default: any 2xx). Raises Failed."""
        good = self.status in statuses if statuses else 200 <= self.status < 300
        if not good:
            line = self.head.partition(b"\r\n")[0].decode("latin-1")
            text = self.body[:300].decode("utf-8", "replace").strip()
            raise Failed("UnexpectedStatus", f"{line}: {text}" if text else line)
        return self


class Connection(asyncio.Protocol):
    """One connection and at most one request at a time."""

    def __init__(self) -> None:
        self.parser = ResponseParser()
        self.closed = False
        self.used = False  # for an earlier request, so the server may have closed it meanwhile
        self._transport: asyncio.Transport | None = None
        self._wake: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self._writable: asyncio.Future[None] | None = None
        self._reading = True
        self._held_bytes = 0
        self._streaming = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=1 << 20)

    def data_received(self, data: bytes) -> None:
        """Feed the parser and wake whoever waits."""
        parser = self.parser
        try:
            parser.feed(data)
        except BadResponse as error:
            self._error = error
            self.close()
        if self._streaming:
            self._held_bytes += len(data)
            if self._held_bytes > BUFFER_BYTES_HIGH and self._reading and self._transport:
                self._reading = False
                self._transport.pause_reading()
            self._awake()
        elif parser.complete or self._error is not None:
            self._awake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever was waited for has ended or failed."""
        self.closed = True
        try:
            self.parser.eof()
        except BadResponse as error:
            self._error = self._error or exc or error
        self._awake()
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def pause_writing(self) -> None:
        """The server reads slower than we write."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The server caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    def close(self) -> None:
        """Close now."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def _awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def _progress(self) -> None:
        """Wait for the next thing to happen. Raises Failed after TIMEOUT_S without any."""
        loop = asyncio.get_running_loop()
        self._wake = wake = loop.create_future()
        timer = loop.call_later(TIMEOUT_S, self._expire)
        try:
            await wake
        finally:
            timer.cancel()
            self._wake = None

    def _expire(self) -> None:
        self._error = Failed("Timeout", f"no progress for {TIMEOUT_S:.0f} s")
        self.close()
        self._awake()

    async def exchange(self, head: bytes, body: Body, *, bodyless: bool) -> Answer:
        """Send a request and take the whole answer. Raises Failed."""
        parser = self.parser
        await self._send(head, body, bodyless=bodyless)
        while not parser.complete:
            if self._error is not None:
                raise failure(self._error)
            await self._progress()
        if not parser.keep_alive:
            self.close()
        pieces = parser.take()
        return Answer(
            parser.status, parser.head, pieces[0] if len(pieces) == 1 else b"".join(pieces)
        )

    async def open(self, head: bytes, body: Body) -> Download:
        """Send a request and take the head of the answer; its body is read from the Download."""
        self._streaming = True
        self._held_bytes = 0
        await self._send(head, body, bodyless=False)
        while not self.parser.headed:
            if self._error is not None:
                raise failure(self._error)
            await self._progress()
        return Download(self)

    async def next_pieces(self) -> list[bytes]:
        """Pieces of a streamed body as they come; empty at its end. Raises Failed."""
        while True:
            pieces = self.parser.take()
            if pieces:
                self._held_bytes = 0
                if not self._reading and self._transport is not None and not self.closed:
                    self._reading = True
                    self._transport.resume_reading()
                return pieces
            if self.parser.complete:
                self._streaming = False
                if not self.parser.keep_alive:
                    self.close()
                return []
            if self._error is not None:
                raise failure(self._error)
            await self._progress()

    async def _send(self, head: bytes, body: Body, *, bodyless: bool) -> None:
        """Write head and body; stops early when the server answers before the end of the body."""
        assert self._transport is not None
        self.parser.start(bodyless=bodyless)
        self._error = None
        if isinstance(body, bytes):
            if len(body) <= 64 * 1024:
                self._transport.write(head + body)
            else:
                self._transport.writelines([head, body])
            return
        self._transport.write(head)
        chunked = b"\r\ntransfer-encoding: chunked\r\n" in head
        async for piece in _pieces_of(body):
            if self.closed or self.parser.begun:
                self.parser.keep_alive = False
                return
            if chunked:
                self._transport.writelines([b"%x\r\n" % len(piece), piece, b"\r\n"])
            else:
                self._transport.write(piece)
            if self._writable is not None:
                await self._writable
        if chunked:
            self._transport.write(b"0\r\n\r\n")


def failure(error: Exception) -> Failed:
    """Any reason why a connection ended, as the one error of this module."""
    return error if isinstance(error, Failed) else Failed("ConnectionFailed", str(error))


async def _pieces_of(body: AsyncIterator[bytes] | Iterable[bytes]) -> AsyncIterator[bytes]:
    if isinstance(body, AsyncIterator):
        async for piece in body:
            if piece:
                yield piece
        return
    for piece in body:
        if piece:
            yield piece


class Download:
    """A response whose body is read piece by piece: `async for piece in download`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.status = connection.parser.status
        self.head = connection.parser.head
        self.length = connection.parser.length

    @property
    def fields(self) -> dict[str, str]:
        """Headers by name in lower case."""
        return header_fields(self.head)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Pieces of the body as they arrive."""
        while pieces := await self._connection.next_pieces():
            for piece in pieces:
                yield piece


class Pool:
    """Connections to one endpoint."""

    def __init__(self, endpoint: str, *, resend: bool = True) -> None:
        parts = urlsplit(endpoint)
        self._resend = resend  # off where a history must know of every attempt
        if parts.scheme != "http" or parts.hostname is None:
            raise Failed("BadEndpoint", f"{endpoint!r} is not an http:// address")
        self.host = parts.netloc
        self._address = (parts.hostname, parts.port or 80)
        self._free: list[Connection] = []
        self._all: set[Connection] = set()

    async def exchange(self, head: bytes, body: Body = b"", *, bodyless: bool = False) -> Answer:
        """Send a request on a free connection. Raises Failed."""
        connection = await self._acquire()
        try:
            answer = await connection.exchange(head, body, bodyless=bodyless)
        except Failed as error:
            stale = connection.used and not connection.parser.begun
            if (
                not self._resend
                or not stale
                or not isinstance(body, bytes)
                or error.code != "ConnectionFailed"
            ):
                raise
            self._release(connection)
            connection = await self._fresh()
            answer = await connection.exchange(head, body, bodyless=bodyless)
        finally:
            self._release(connection)
        return answer

    async def open(self, head: bytes, body: Body = b"") -> tuple[Connection, Download]:
        """Send a request; the caller gives the connection back with `done`. Raises Failed."""
        connection = await self._fresh()  # a stale one could not be told from a failure
        try:
            return connection, await connection.open(head, body)
        except BaseException:
            self.done(connection)
            raise

    def done(self, connection: Connection) -> None:
        """Take a connection back; one in the middle of a response is closed."""
        self._release(connection)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self._all):
            connection.close()
        self._all.clear()
        self._free.clear()

    async def _acquire(self) -> Connection:
        while self._free:
            connection = self._free.pop()
            if not connection.closed:
                connection.used = True
                return connection
            self._all.discard(connection)
        return await self._fresh()

    async def _fresh(self) -> Connection:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                Connection, *self._address
            )
        except OSError as error:
            raise Failed("NoConnection", f"{self.host}: {error.strerror or error}") from None
        self._all.add(connection)
        return connection

    def _release(self, connection: Connection) -> None:
        if connection.closed or not connection.parser.complete:
            connection.close()
            self._all.discard(connection)
        else:
            self._free.append(connection)
