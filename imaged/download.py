"""Fetches an image from the web: HTTP/1.1 over addresses that were checked, redirects followed by hand.

The name is resolved once for each hop, every address is checked, and the connection goes to the checked address itself;
TLS still verifies the name. Bodies come as a stream with back-pressure; one that ends early is an error.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import urljoin

import httptools

from core.errors import Refused, Unavailable
from imaged.addresses import Place, check, place, refused
from imaged.settings import Settings

REDIRECTS = frozenset({301, 302, 303, 307, 308})
REDIRECT_COUNT_MAX = 5
CONNECT_TIMEOUT_S = 10.0
IDLE_TIMEOUT_S = 30.0
CHUNK_BYTES = 256 << 10
HEADERS_BYTES_MAX = 64 << 10


class Download(NamedTuple):
    """A body that is coming; `length` in bytes, or None when the server does not say."""

    length: int | None
    chunks: AsyncIterator[bytes]


class Answer:
    """Parser callbacks of one response."""

    def __init__(self) -> None:
        self.parser: Any = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.headed = self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """All header lines."""
        self.headed = True

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.parts.append(body)

    def on_message_complete(self) -> None:
        """The end, where the framing tells it."""
        self.complete = True

    def feed(self, data: bytes) -> None:
        """Take bytes. Raises Unavailable on what is not HTTP."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.complete:
                raise Unavailable("BadAnswer", f"the server speaks no HTTP: {error}") from None

    @property
    def framed(self) -> bool:
        """Whether the end of the body is known other than by the end of the connection."""
        return "content-length" in self.headers or "transfer-encoding" in self.headers


class Fetcher:
    """Fetches from where the settings allow."""

    def __init__(self, settings: Settings) -> None:
        self._allow = settings.networks()
        self._ports = settings.download_ports
        self._tls = ssl.create_default_context()

    @contextlib.asynccontextmanager
    async def open(self, url: str) -> AsyncIterator[Download]:
        """The body behind a URL. Raises Refused("BadUrl") and Unavailable."""
        where = place(url)
        for _ in range(REDIRECT_COUNT_MAX + 1):
            reader, writer = await self._connect(where)
            try:
                answer = await _ask(where, reader, writer)
                status = answer.parser.get_status_code()
                if status in REDIRECTS:
                    where = _next(where, answer.headers.get("location", ""))
                    continue
                if status != 200:
                    raise Unavailable("BadAnswer", f"the server answers {status}")
                yield Download(_length(answer), _body(answer, reader))
                return
            finally:
                writer.close()
        raise refused("there are too many redirects")

    async def _connect(self, where: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        addresses = await self._resolve(where)
        failure: Exception | None = None
        for address in addresses:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    return await asyncio.open_connection(
                        address,
                        where.port,
                        limit=CHUNK_BYTES,
                        ssl=self._tls if where.tls else None,
                        server_hostname=where.host if where.tls else None,
                    )
            except (OSError, TimeoutError) as error:
                failure = error
        raise Unavailable("NoConnection", f"{where.authority} cannot be reached: {failure}")

    async def _resolve(self, where: Place) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                found = await loop.getaddrinfo(where.host, where.port, type=1)  # SOCK_STREAM
        except (OSError, UnicodeError, TimeoutError):
            raise Unavailable("NoHost", f"the host {where.host} cannot be found") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        for address in addresses:
            check(ipaddress.ip_address(address), where.port, self._allow, self._ports)
        return addresses


async def _ask(where: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
    """Send the request and read the head of the answer."""
    lines = [
        f"GET {where.target} HTTP/1.1",
        f"Host: {where.authority}",
        "User-Agent: ringstack",
        "Accept: */*",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    answer, taken = Answer(), 0
    while not answer.headed:
        data = await _read(reader)
        taken += len(data)
        if not data or (taken > HEADERS_BYTES_MAX + CHUNK_BYTES):
            raise Unavailable("BadAnswer", "the server ended the connection without an answer")
        answer.feed(data)
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise Unavailable("BadAnswer", "the server compresses although it was asked not to")
    return answer


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        async with asyncio.timeout(IDLE_TIMEOUT_S):
            return await reader.read(CHUNK_BYTES)
    except (OSError, TimeoutError) as error:
        raise Unavailable("NoConnection", f"the connection was lost: {error}") from None


async def _body(answer: Answer, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while True:
        parts, answer.parts = answer.parts, []
        for part in parts:
            yield part
        if answer.complete:
            return
        data = await _read(reader)
        if not data:
            if answer.framed:
                raise Unavailable("Truncated", "the server ended the connection too early")
            return
        answer.feed(data)


def _length(answer: Answer) -> int | None:
    text = answer.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def _next(where: Place, location: str) -> Place:
    base = f"{where.scheme}://{where.authority}{where.target}"
    try:
        following = place(urljoin(base, location))
    except ValueError:
        raise refused("a redirect leads nowhere") from None
    if where.tls and not following.tls:
        raise refused("a redirect leads from https to http")
    return following


__all__ = ["Download", "Fetcher", "Refused"]
