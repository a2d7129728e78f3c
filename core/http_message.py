"""What the HTTP engine hands to a handler and takes back: requests with streaming bodies, responses.

A body has one reader, who pulls; the connection behind it is told when more may come. The end of a body
is known only from its framing, so that a client which goes away never looks like one that is done.
"""

from __future__ import annotations

import asyncio
import collections
from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from core import limits
from core.errors import Refused

Headers = Sequence[tuple[str, str]]


class Flow(Protocol):
    """The connection as a body sees it."""

    def want_body(self) -> None:
        """The reader waits for more."""
        ...

    def resume_input(self) -> None:
        """There is room for more."""
        ...


class BodyTruncated(Refused):
    """The client went away, stalled or broke its framing before the body was complete."""


class Body:
    """The request body as a stream of chunks with back-pressure. One reader."""

    __slots__ = ("_chunks", "_connection", "_error", "_waiter", "buffered", "complete", "length")

    def __init__(self, connection: Flow | None, length: int | None) -> None:
        self._connection = connection
        self._chunks: collections.deque[bytes] = collections.deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: BodyTruncated | None = None
        self.buffered = 0
        self.complete = False
        self.length = length  # Content-Length in bytes, or None when chunked

    async def read(self) -> bytes:
        """Return the next piece, `b""` at the end. Raises BodyTruncated."""
        while not self._chunks:
            if self.complete:
                return b""
            if self._error is not None:
                raise self._error
            if self._connection is not None:
                self._connection.want_body()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(limits.BODY_TIMEOUT_S):
                    await self._waiter
            except TimeoutError:
                self.fail("the client stopped sending the body")
            finally:
                self._waiter = None
        chunk = self._chunks.popleft()
        self.buffered -= len(chunk)
        if self._connection is not None and self.buffered < limits.BODY_BUFFER_LOW_BYTES:
            self._connection.resume_input()
        return chunk

    async def read_all(self, size_max: int) -> bytes:
        """Whole body of at most `size_max` bytes; raises Refused("EntityTooLarge") beyond it."""
        if self.length is not None and self.length > size_max:
            raise Refused("EntityTooLarge", f"the body is larger than {size_max} bytes")
        parts: list[bytes] = []
        total = 0
        while chunk := await self.read():
            total += len(chunk)
            if total > size_max:
                raise Refused("EntityTooLarge", f"the body is larger than {size_max} bytes")
            parts.append(chunk)
        return b"".join(parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """All pieces in order."""
        while chunk := await self.read():
            yield chunk

    def feed(self, chunk: bytes) -> None:
        """Take a piece from the parser."""
        self._chunks.append(chunk)
        self.buffered += len(chunk)
        self._wake()

    def finish(self) -> None:
        """Mark the end."""
        self.complete = True
        self._wake()

    def fail(self, message: str) -> None:
        """Break the stream; pieces already buffered are still read first."""
        if not self.complete and self._error is None:
            self._error = BodyTruncated("BodyTruncated", message)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Request:
    """One request. `path` and `query` are the raw, still percent-encoded parts of the target.

    `headers` maps lower-case names to values as bytes; repeated headers are joined with `, `.
    `context` is filled on the way in (request id, identity, timings) and never from headers.
    """

    __slots__ = (
        "body",
        "context",
        "headers",
        "keep_alive",
        "method",
        "path",
        "peer",
        "query",
        "version",
    )

    def __init__(self, method: str, path: str, query: str, headers: dict[bytes, bytes]) -> None:
        self.version = "1.1"
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = Body(None, 0)
        self.keep_alive = True
        self.peer = ""
        self.context: dict[str, Any] = {}

    def header(self, name: str) -> str | None:
        """Value of a header as text (UTF-8, else Latin-1), or None."""
        value = self.headers.get(name.lower().encode("latin-1"))
        return None if value is None else header_text(value)


def header_text(value: bytes) -> str:
    """Decode a header value: UTF-8 as today's clients send, Latin-1 as RFC 9110 once had it."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


class Response:
    """An answer. `body` is bytes, or an async iterator of chunks.

    With an iterator, `length` is its total size in bytes (sent as Content-Length) or None (chunked).
    For HEAD, `length` gives the Content-Length to announce. `abort` after the head cuts the connection,
    the only honest signal when a body cannot be completed.
    """

    __slots__ = ("body", "headers", "length", "status")

    def __init__(
        self,
        status: int,
        headers: Headers = (),
        body: bytes | AsyncIterator[bytes] = b"",
        *,
        length: int | None = None,
    ) -> None:
        self.status = status
        self.headers: list[tuple[str, str]] = list(headers)
        self.body = body
        self.length = length
