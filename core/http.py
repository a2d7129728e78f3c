"""HTTP/1.1 server engine: requests with streaming bodies in, responses out.

Built on uvloop/asyncio protocols and llhttp (through httptools), because the object path needs three
times what a general framework gives per core. It promises: strict framing (a request with both
Content-Length and Transfer-Encoding, a bad chunk or a torn header is answered 400 and closed; RFC 9112
section 6), back-pressure in both directions, `100 Continue` only when the handler wants the body, one
request at a time per connection in order, and that a handler sees `BodyTruncated` when the client goes.
It knows nothing of S3, Swift, names or users.
"""

from __future__ import annotations

import asyncio
import collections
import logging
import re
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, cast

import httptools

from core import limits
from core.errors import Refused, RingstackError
from core.http_message import Body, BodyTruncated, Headers, Request, Response, header_text

__all__ = [
    "Body",
    "BodyTruncated",
    "Handler",
    "Headers",
    "HttpServer",
    "Request",
    "Response",
    "header_text",
    "reason",
]

log = logging.getLogger("ringstack.http")

# The parser keeps an unfinished header line or trailer to itself; this is how much of it we let come.
BARREN_BYTES_MAX = limits.URL_BYTES_MAX + limits.HEADER_BYTES_MAX + 512 * limits.KIB

NOT_ASCII = re.compile(rb"[\x80-\xff]")
REASONS = {status.value: status.phrase for status in HTTPStatus}
SWEEP_S = 1.0
BODYLESS = frozenset({204, 304})
SINGLE_HEADERS = frozenset({b"host", b"content-length", b"transfer-encoding"})


Handler = Callable[[Request], Awaitable[Response]]


class _DateCache:
    """The Date header, formatted once a second."""

    second = -1.0
    line = b""

    @classmethod
    def get(cls, now: float) -> bytes:
        if now - cls.second >= 1.0 or cls.second < 0:
            cls.second = now
            cls.line = b"\r\nDate: " + formatdate(usegmt=True).encode()
        return cls.line


class HttpConnection(asyncio.Protocol):
    """One client connection: parser callbacks on one side, a handler task on the other."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._parser: Any = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: collections.deque[Request] = collections.deque()
        self._incoming: Request | None = None  # its body is still arriving
        self._task: asyncio.Task[None] | None = None
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._header_bytes = 0
        self._header_count = 0
        self._reading = True
        self._writable = asyncio.Event()
        self._writable.set()
        self._continue_wanted: Request | None = None
        self._deadline = 0.0  # loop time at which an idle connection goes; 0 = none
        self._closing = False
        self._ended = False
        self._between = True  # the next byte begins a request
        self._lingering = False
        self._lingered = 0
        self._barren = (
            0  # bytes taken in since the parser last had a head or a piece of body to show
        )
        self._refusal: tuple[int, str] | None = None
        self._peer = ""

    # -- transport callbacks -------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register and start the idle clock."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not a subclass
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else "local"
        self._transport.set_write_buffer_limits(high=1 << 20)
        self._server.connections.add(self)
        self._arm(limits.HEADER_TIMEOUT_S)
        if len(self._server.connections) > limits.CONNECTIONS_MAX:
            self._refuse(503, "too many connections")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the reader of a body, and whoever waits to write."""
        del exc
        self._closing = True
        self._server.connections.discard(self)
        self._disarm()
        if self._incoming is not None:
            self._incoming.body.fail("the client closed the connection")
        self._queue.clear()
        self._writable.set()
        if self._task is not None and self._incoming is None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; anything it refuses ends the connection with 400."""
        if self._lingering:
            self._lingered += len(data)
            if self._lingered > limits.LINGER_BYTES_MAX and self._transport is not None:
                self._transport.abort()
            return
        if self._closing or self._refusal is not None:
            return
        if self._between and not data.isascii():
            data = _ascii_request_line(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "protocol upgrade is not supported")
        except httptools.HttpParserInvalidMethodError:
            self._refuse(405, "the method is not known")
        except httptools.HttpParserError as error:
            # set by a callback of ours while the parser ran, when the reason is our own
            reason_given: tuple[int, str] | None = self._refusal
            self._refuse(*(reason_given or (400, f"malformed request: {error}")))
        self._barren += len(data)
        if self._barren > BARREN_BYTES_MAX and self._refusal is None:
            self._refuse(431, "the request headers are too large")
        if self._must_pause():
            self._pause()

    def eof_received(self) -> bool:
        """Half-close: a complete request is still answered."""
        self._ended = True
        if self._incoming is not None:
            self._incoming.body.fail("the body ended early")
        return self._task is not None

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The client caught up."""
        self._writable.set()

    # -- parser callbacks ----------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Start collecting a request."""
        self._between = False
        self._url = b""
        self._headers = {}
        self._header_bytes = 0
        self._header_count = 0
        if self._task is None:
            self._arm(limits.HEADER_TIMEOUT_S)

    def on_url(self, url: bytes) -> None:
        """Collect the target (may come in pieces)."""
        self._url += url
        if len(self._url) > limits.URL_BYTES_MAX:
            self._reject(414, "the request target is too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect one header line."""
        self._header_bytes += len(name) + len(value) + 4
        self._header_count += 1
        if (
            self._header_bytes > limits.HEADER_BYTES_MAX
            or self._header_count > limits.HEADER_COUNT_MAX
        ):
            self._reject(431, "the request headers are too large")
        if b"\n" in value or b"\r" in value or b"\0" in value:
            self._reject(400, "a header value holds a line break or NUL")
        name = name.lower()
        known = self._headers.get(name)
        if known is not None and name in SINGLE_HEADERS:
            self._reject(400, f"the header {name.decode('latin-1')} is given twice")
        self._headers[name] = value if known is None else known + b", " + value

    def on_headers_complete(self) -> None:
        """Build the request and queue it for the handler."""
        headers = self._headers
        self._barren = 0
        path, _, query = self._url.partition(b"?")
        if not path.startswith(b"/"):
            path = _path_of_absolute(path)
        method: bytes = self._parser.get_method()
        # llhttp has refused every byte of the target outside printable ASCII
        request = Request(method.decode(), path.decode("ascii"), query.decode("ascii"), headers)
        request.version = self._parser.get_http_version()
        self._headers = {}  # trailers are read and forgotten, never mixed with the headers
        if b"host" not in headers and request.version != "1.0":
            self._reject(400, "the Host header is missing")
        encoding = headers.get(b"transfer-encoding")
        length = headers.get(b"content-length")
        if encoding is not None and length is not None:
            self._reject(400, "both Content-Length and Transfer-Encoding are given")
        if encoding is not None and request.version == "1.0":
            self._reject(400, "there are no transfer encodings in HTTP/1.0")
        if encoding is not None and encoding.strip().lower() != b"chunked":
            self._reject(501, "only the chunked transfer encoding is supported")
        if length is not None and not length.isdigit():
            self._reject(400, "Content-Length is not a number")
        size = None if encoding is not None else int(length or b"0")
        request.keep_alive = self._parser.should_keep_alive()
        request.peer = self._peer
        request.body = Body(self, size)
        self._incoming = request
        self._queue.append(request)
        if headers.get(b"expect", b"").lower() == b"100-continue":
            self._continue_wanted = request
        self._disarm()
        self._start_next()

    def on_body(self, body: bytes) -> None:
        """Pass a piece of body on."""
        request = self._incoming
        self._barren = 0
        if request is not None:
            if self._continue_wanted is request:
                self._continue_wanted = None  # the client did not wait for it
            request.body.feed(body)

    def on_message_complete(self) -> None:
        """The request's last byte has arrived."""
        self._between = True
        if self._incoming is not None:
            self._incoming.body.finish()
            self._incoming = None

    # -- body flow -----------------------------------------------------------------------------

    def want_body(self) -> None:
        """The handler reads: send `100 Continue` if the client waits for it, and resume input."""
        if self._continue_wanted is not None and self._transport is not None:
            self._continue_wanted = None
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.resume_input()

    def resume_input(self) -> None:
        """Read from the socket again if it was paused."""
        if not self._reading and not self._closing and not self._must_pause():
            assert self._transport is not None
            self._reading = True
            self._transport.resume_reading()

    def _must_pause(self) -> bool:
        """More is buffered than a connection may hold: of the body at work, or of pipelined requests."""
        queue = self._queue
        if not queue:
            incoming = self._incoming
            return incoming is not None and incoming.body.buffered > limits.BODY_BUFFER_HIGH_BYTES
        if len(queue) >= limits.PIPELINED_REQUESTS_MAX:
            return True
        return sum(r.body.buffered for r in queue) > limits.BODY_BUFFER_HIGH_BYTES

    def _pause(self) -> None:
        if self._reading and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    # -- handling ------------------------------------------------------------------------------

    def _start_next(self) -> None:
        if self._task is None and self._queue and not self._closing:
            self._task = self._loop.create_task(self._serve(self._queue.popleft()))

    async def _serve(self, request: Request) -> None:
        keep = False
        try:
            response = await self._server.handler(request)
            keep = await self._respond(request, response)
            if keep:
                keep = await self._drain(request)
        except BodyTruncated:
            keep = False
        except (ConnectionError, asyncio.CancelledError):
            keep = False
        except RingstackError as error:
            # in mid-body: the head is sent, so the connection was cut
            log.warning("%s %s was cut short: %s", request.method, request.path, error.message)
            keep = False
        except Exception:
            log.exception("request handler failed")
            keep = False
        finally:
            self._task = None
            self._after(keep=keep)

    def _after(self, *, keep: bool) -> None:
        if self._closing:
            return
        if not keep or self._server.draining or (self._ended and not self._queue):
            if self._incoming is not None and not self._ended:
                self._linger()
            else:
                self.close()
            return
        self._arm(limits.IDLE_TIMEOUT_S)
        self._start_next()
        self.resume_input()

    async def _drain(self, request: Request) -> bool:
        """Swallow what the handler did not read; False when the connection must close instead."""
        body = request.body
        if body.complete and not body.buffered:
            return True
        if self._continue_wanted is request:
            self._continue_wanted = None
            return False
        left = limits.BODY_DRAIN_BYTES_MAX
        if (body.length or 0) > left:
            return False
        while chunk := await body.read():
            left -= len(chunk)
            if left < 0:
                return False
        return True

    async def _respond(self, request: Request, response: Response) -> bool:
        if self._closing or self._transport is None:
            await _close_body(response.body)
            return False
        body = response.body
        keep = request.keep_alive and not self._server.draining
        unread = request.body
        if (
            self._continue_wanted is request
            or self._refusal is not None
            or (not unread.complete and (unread.length or 0) > limits.BODY_DRAIN_BYTES_MAX)
        ):
            keep = False
        lines = [b"HTTP/1.1 %d %s" % (response.status, reason(response.status))]
        for name, value in response.headers:
            lines.append(f"{name}: {value}".encode())
        bodyless = response.status in BODYLESS or request.method == "HEAD"
        chunked = False
        if isinstance(body, bytes):
            size: int | None = response.length if response.length is not None else len(body)
        else:
            size = response.length
            chunked = size is None and not bodyless
            if chunked and request.version == "1.0":
                chunked = keep = False  # the end of the connection ends the body
        if chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif size is not None and response.status not in BODYLESS:
            lines.append(b"Content-Length: %d" % size)
        if not keep:
            lines.append(b"Connection: close")
        elif request.version == "1.0" or b"connection" in request.headers:
            lines.append(b"Connection: keep-alive")
        head = b"\r\n".join(lines)
        if not head.count(b"\n") == head.count(b"\r") == len(lines) - 1:
            raise Refused("BadHeader", "a response header holds a line break")
        head += _DateCache.get(self._loop.time()) + b"\r\n\r\n"
        if isinstance(body, bytes):
            self._transport.write(head if bodyless or not body else head + body)
            if not self._writable.is_set():
                await self._wait_writable()
            return keep
        self._transport.write(head)
        if bodyless:
            await _close_body(body)
            return keep
        return await self._stream(body, chunked=chunked, size=size) and keep

    async def _stream(self, body: AsyncIterator[bytes], *, chunked: bool, size: int | None) -> bool:
        """Send an iterator; a body that fails or ends short cuts the connection."""
        sent = 0
        transport = self._transport
        assert transport is not None
        try:
            async for chunk in body:
                if self._closing:
                    return False
                if not chunk:
                    continue
                sent += len(chunk)
                if chunked:
                    transport.writelines([b"%x\r\n" % len(chunk), chunk, b"\r\n"])
                else:
                    transport.write(chunk)
                if not self._writable.is_set():
                    await self._wait_writable()
        except BaseException:
            transport.abort()
            raise
        finally:
            await _close_body(body)
        if chunked:
            transport.write(b"0\r\n\r\n")
        elif size is not None and sent != size:
            log.error("a response body ended after %d of %d bytes", sent, size)
            transport.abort()
            return False
        return True

    async def _wait_writable(self) -> None:
        try:
            async with asyncio.timeout(limits.BODY_TIMEOUT_S):
                await self._writable.wait()
        except TimeoutError:
            assert self._transport is not None
            self._transport.abort()
            raise ConnectionResetError("the client stopped reading") from None

    # -- refusal and end -----------------------------------------------------------------------

    def _reject(self, status: int, message: str) -> None:
        """Refuse from inside a parser callback: the parser stops at the exception."""
        self._refusal = (status, message)
        raise ValueError(message)

    def _refuse(self, status: int, message: str) -> None:
        """Answer an unparseable request and close; a handler at work keeps its answer."""
        self._refusal = (status, message)
        if self._incoming is not None:
            self._incoming.body.fail(message)
            self._incoming = None
        if self._task is not None or self._queue:
            self._queue.clear()
            return
        if self._transport is not None and not self._closing:
            text = f"{message}\n".encode("ascii", "replace")
            self._transport.write(
                b"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
                b"Connection: close%s\r\n\r\n%s"
                % (status, reason(status), len(text), _DateCache.get(self._loop.time()), text)
            )
        self._linger()

    def _linger(self) -> None:
        """Close with a body still arriving: end our side, then swallow some of it.

        Closing at once would reset the connection and could take the answer with it before the client,
        busy sending, has read it (RFC 9112 section 9.6).
        """
        transport = self._transport
        if transport is None or self._closing or self._ended or not transport.can_write_eof():
            self.close()
            return
        self._closing = self._lingering = True
        self._incoming = None
        transport.write_eof()
        if not self._reading:
            self._reading = True
            transport.resume_reading()
        self._arm(limits.LINGER_S)

    def _arm(self, seconds: float) -> None:
        self._deadline = self._loop.time() + seconds

    def _disarm(self) -> None:
        self._deadline = 0.0

    def sweep(self, now: float) -> None:
        """Close the connection if it has been idle for too long (called by the server now and then)."""
        if self._deadline and now >= self._deadline:
            self._expired()

    def _expired(self) -> None:
        self._deadline = 0.0
        if self._lingering and self._transport is not None:
            self._transport.abort()
        elif self._task is None:
            self.close()

    def close(self) -> None:
        """Close after what is written has been sent."""
        self._closing = True
        self._disarm()
        if self._transport is not None:
            self._transport.close()

    @property
    def busy(self) -> bool:
        """A handler is at work."""
        return self._task is not None


class HttpServer:
    """Listening sockets and their connections."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.connections: set[HttpConnection] = set()
        self.draining = False
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(
        self, host: str = "", port: int = 0, *, listener: socket.socket | None = None
    ) -> int:
        """Listen on host:port (0 = any free port), or on a socket that listens; returns the port."""
        loop = asyncio.get_running_loop()
        if listener is None:
            server = await loop.create_server(self._connection, host, port, backlog=1024)
        else:
            server = await loop.create_server(self._connection, sock=listener)
        self._servers.append(server)
        if self._sweeper is None:
            self._sweep()
        return int(server.sockets[0].getsockname()[1])

    def _connection(self) -> HttpConnection:
        return HttpConnection(self)

    def _sweep(self) -> None:
        """Look for idle connections once a second: cheaper than a timer for each request."""
        loop = asyncio.get_running_loop()
        for connection in list(self.connections):
            connection.sweep(loop.time())
        self._sweeper = loop.call_later(SWEEP_S, self._sweep)

    async def stop(self, grace_s: float = 5.0) -> None:
        """Stop listening, let running requests finish for `grace_s`, then close."""
        self.draining = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            if not connection.busy:
                connection.close()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace_s
        while self.connections and loop.time() < deadline:  # noqa: ASYNC110 - they end one by one
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.close()


def reason(status: int) -> bytes:
    """Reason phrase of a status code."""
    return REASONS.get(status, "Status").encode()


async def _close_body(body: object) -> None:
    close = getattr(body, "aclose", None)
    if close is not None:
        await close()


def _ascii_request_line(data: bytes) -> bytes:
    """Percent-encode bytes outside ASCII in the first line: some clients send their targets raw."""
    end = data.find(b"\n")
    line = data if end < 0 else data[:end]
    if line.isascii():
        return data
    return NOT_ASCII.sub(lambda found: b"%%%02X" % found[0][0], line) + data[len(line) :]


def _path_of_absolute(target: bytes) -> bytes:
    """Path of an absolute-form target (RFC 9112 section 3.2.2); `*` and others become `/`."""
    if b"://" in target:
        rest = target.split(b"://", 1)[1]
        slash = rest.find(b"/")
        return rest[slash:] if slash >= 0 else b"/"
    return b"/"
