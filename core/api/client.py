"""A small HTTP client for calls from one service to another: JSON and byte strings, one connection a call.

It goes only where its maker says (a base address that an operator chose), follows no redirect, and bounds time and
size. With `https` the certificate must be one that the system trusts, for that name.
What cannot be reached or does not answer in time is Unavailable; an answer of any status is an answer.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httptools
import msgspec

from core.errors import Unavailable

TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 5.0
BODY_BYTES_MAX = 64 << 20
READ_BYTES = 256 << 10


class Reply(NamedTuple):
    """An answer; names of headers are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body decoded, or None when it is not JSON."""
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None


class _Collector:
    """Receives what the parser finds."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.size = 0
        self.done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.size > BODY_BYTES_MAX:
            raise Unavailable("LongAnswer", "the answer is longer than it may be")
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.done = True


class Client:
    """Calls below one base address (`http://host:port/prefix`)."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        assert parts.scheme in {"http", "https"}, "the base address is an HTTP URL"
        assert parts.hostname is not None
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname, parts.port or (443 if self._tls else 80)
        self._authority = parts.netloc
        self._path = parts.path.rstrip("/")

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Reply:
        """One request; `body` is bytes, or anything that becomes JSON. Raises Unavailable."""
        data = b"" if body is None else body
        sent = {"Host": self._authority, "Connection": "close", **(headers or {})}
        if not isinstance(data, bytes):
            data = msgspec.json.encode(data)
            sent.setdefault("Content-Type", "application/json")
        if data or method not in {"GET", "HEAD", "DELETE"}:
            sent["Content-Length"] = str(len(data))
        head = f"{method} {self._path}{path} HTTP/1.1\r\n" + "".join(
            f"{name}: {value}\r\n" for name, value in sent.items()
        )
        assert head.count("\r\n") == len(sent) + 1, "no header holds a line break"
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(head.encode("latin-1") + b"\r\n", data, method)
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise Unavailable(
                "NoAnswer", f"{self._authority} does not answer: {error or 'too slow'}"
            ) from None

    async def _exchange(self, head: bytes, data: bytes, method: str) -> Reply:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        try:
            writer.write(head)
            if data:
                writer.write(data)
            await writer.drain()
            return await _receive(reader, method)
        finally:
            writer.close()


async def _receive(reader: asyncio.StreamReader, method: str) -> Reply:
    collector = _Collector()
    parser = httptools.HttpResponseParser(collector)
    while not collector.done:
        piece = await reader.read(READ_BYTES)
        if not piece:
            break
        parser.feed_data(piece)
        if method == "HEAD" and collector.headers:
            break
    status = parser.get_status_code()
    length = collector.headers.get("content-length")
    complete = collector.done or method == "HEAD"
    if not status or (not complete and (length is None or int(length) != collector.size)):
        raise Unavailable("CutAnswer", "the connection ended before the answer did")
    return Reply(status, collector.headers, b"".join(collector.pieces))
