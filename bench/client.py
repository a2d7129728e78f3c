"""Two small object-store clients, S3 and Swift, cheap enough to measure a server beside them.

Both have the same verbs, so that a benchmark is written once: `put`, `get`, `head`, `delete`, `list`,
`page` (one request of a listing, not parsed), `stream` (a download piece by piece) and `make_container`.
Bodies are bytes or iterators of bytes. Every verb returns the Answer whatever its status is, so that
errors can be counted; `answer.expect()` turns a bad one into `Failed`.

    async with S3Client(endpoint, access_key, secret_key, "us-east-1") as client:
        (await client.put("bucket", "name", b"...")).expect()
        async with client.stream("bucket", "name") as download:
            async for piece in download: ...
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple, Protocol, Self
from urllib.parse import quote, urlsplit

from lxml import etree

from bench.connection import Answer, Body, Download, Failed, Pool
from bench.sign import EMPTY_SHA256, UNSIGNED_PAYLOAD, Signer, encode_path, encode_query

__all__ = ["Answer", "Client", "Download", "Failed", "Listed", "S3Client", "SwiftClient"]

Headers = Mapping[str, str] | None

S3_PAGE_MAX = 1000
SWIFT_PAGE_MAX = 10_000
XML_NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


class Listed(NamedTuple):
    """One line of a listing."""

    name: str
    size_bytes: int


class Client(Protocol):
    """What both clients can do; a container is S3's bucket."""

    page_max: int

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...
    async def make_container(self, container: str) -> Answer: ...
    async def remove_container(self, container: str) -> Answer: ...
    async def put(
        self,
        container: str,
        name: str,
        body: Body,
        *,
        size: int | None = None,
        headers: Headers = None,
    ) -> Answer: ...
    async def get(self, container: str, name: str, *, headers: Headers = None) -> Answer: ...
    async def head(self, container: str, name: str) -> Answer: ...
    async def delete(self, container: str, name: str) -> Answer: ...
    async def page(
        self, container: str, *, after: str = "", prefix: str = "", limit: int = 0
    ) -> Answer: ...
    async def list(self, container: str, *, prefix: str = "") -> Sequence[Listed]: ...
    def disconnect(self) -> None: ...
    def names_in(self, page: Answer) -> Sequence[Listed]: ...
    @asynccontextmanager
    def stream(
        self, container: str, name: str, *, headers: Headers = None
    ) -> AsyncIterator[Download]: ...


class _Clock:
    """The time of a signature, formatted once a second."""

    second = -1
    text = ""

    @classmethod
    def timestamp(cls) -> str:
        now = int(time.time())
        if now != cls.second:
            cls.second = now
            cls.text = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        return cls.text


class S3Client:
    """Path-style S3 with signed headers; bytes are signed by SHA-256, streams as UNSIGNED-PAYLOAD."""

    page_max = S3_PAGE_MAX

    def __init__(
        self,
        endpoint: str,
        access_key: str,
        secret_key: str,
        region: str = "us-east-1",
        *,
        resend: bool = True,
    ) -> None:
        self._pool = Pool(endpoint, resend=resend)
        self._signer = Signer(self._pool.host, access_key, secret_key, region=region)
        self._hashes: dict[int, tuple[bytes, str]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._pool.close()

    def disconnect(self) -> None:
        """Close the connections; the next request opens a new one."""
        self._pool.close()

    async def make_container(self, container: str) -> Answer:
        """Create a bucket."""
        return await self._send("PUT", encode_path(f"/{container}"), b"")

    async def remove_container(self, container: str) -> Answer:
        """Delete an empty bucket."""
        return await self._send("DELETE", encode_path(f"/{container}"))

    async def put(
        self,
        container: str,
        name: str,
        body: Body,
        *,
        size: int | None = None,
        headers: Headers = None,
    ) -> Answer:
        """Store an object; S3 must be told the `size` (bytes) of a stream."""
        path = encode_path(f"/{container}/{name}")
        return await self._send("PUT", path, body, size=size, headers=headers)

    async def get(self, container: str, name: str, *, headers: Headers = None) -> Answer:
        """Read a whole object into memory."""
        return await self._send("GET", encode_path(f"/{container}/{name}"), headers=headers)

    async def head(self, container: str, name: str) -> Answer:
        """Metadata of an object."""
        return await self._send("HEAD", encode_path(f"/{container}/{name}"))

    async def delete(self, container: str, name: str, *, headers: Headers = None) -> Answer:
        """Delete an object; S3 answers 204 whether it was there or not."""
        return await self._send("DELETE", encode_path(f"/{container}/{name}"), headers=headers)

    async def page(
        self, container: str, *, after: str = "", prefix: str = "", limit: int = 0
    ) -> Answer:
        """One ListObjectsV2 request of at most `limit` names (default and most: 1,000)."""
        query = {"list-type": "2"}
        if after:
            query["start-after"] = after
        if prefix:
            query["prefix"] = prefix
        if limit:
            query["max-keys"] = str(limit)
        return await self._send("GET", encode_path(f"/{container}"), query=encode_query(query))

    def names_in(self, page: Answer) -> Sequence[Listed]:
        """The lines of a page."""
        root = etree.fromstring(page.body, etree.XMLParser(resolve_entities=False))
        return [
            Listed(
                entry.findtext(f"{XML_NAMESPACE}Key") or "",
                int(entry.findtext(f"{XML_NAMESPACE}Size") or 0),
            )
            for entry in root.iterfind(f"{XML_NAMESPACE}Contents")
        ]

    async def list(self, container: str, *, prefix: str = "") -> Sequence[Listed]:
        """Every name. Raises Failed."""
        return await _all_pages(self, container, prefix)

    @asynccontextmanager
    async def stream(
        self, container: str, name: str, *, headers: Headers = None
    ) -> AsyncIterator[Download]:
        """Read an object piece by piece."""
        path = encode_path(f"/{container}/{name}")
        head = self._head("GET", path, payload_hash=EMPTY_SHA256, headers=headers)
        async with _download(self._pool, head + b"\r\n\r\n") as download:
            yield download

    def _head(
        self, method: str, path: str, *, payload_hash: str, query: str = "", headers: Headers = None
    ) -> bytes:
        return self._signer.head(
            method,
            path,
            timestamp=_Clock.timestamp(),
            payload_hash=payload_hash,
            query=query,
            headers=headers,
        )

    async def _send(
        self,
        method: str,
        path: str,
        body: Body | None = None,
        *,
        size: int | None = None,
        query: str = "",
        headers: Headers = None,
    ) -> Answer:
        digest = EMPTY_SHA256
        if isinstance(body, bytes):
            digest = self._hash_of(body)
            size = len(body)
        elif body is not None:
            digest = UNSIGNED_PAYLOAD
        head = self._head(method, path, payload_hash=digest, query=query, headers=headers)
        if size is not None:
            head += b"\r\ncontent-length: %d" % size
        elif body is not None:
            head += b"\r\ntransfer-encoding: chunked"
        return await self._pool.exchange(
            head + b"\r\n\r\n", b"" if body is None else body, bodyless=method == "HEAD"
        )

    def _hash_of(self, body: bytes) -> str:
        """SHA-256, remembered for bodies that are sent again and again."""
        if not body:
            return EMPTY_SHA256
        known = self._hashes.get(id(body))
        if known is not None and known[0] is body:
            return known[1]
        digest = hashlib.sha256(body).hexdigest()
        if len(self._hashes) >= 256:
            self._hashes.clear()
        self._hashes[id(body)] = (body, digest)
        return digest


class SwiftClient:
    """Swift's API with a token from its own log-in (`/auth/v1.0`)."""

    page_max = SWIFT_PAGE_MAX

    def __init__(self, auth_url: str, user: str, key: str, *, resend: bool = True) -> None:
        self._auth_url = auth_url
        self._user = user
        self._key = key
        self._resend = resend
        self._pool = Pool(auth_url)
        self._base = ""
        self._lines = ""  # the header lines of every request

    async def __aenter__(self) -> Self:
        await self.log_in()
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._pool.close()

    def disconnect(self) -> None:
        """Close the connections; the next request opens a new one."""
        self._pool.close()

    async def log_in(self) -> None:
        """Get a token. Raises Failed."""
        parts = urlsplit(self._auth_url)
        head = (
            f"GET {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n"
            f"x-auth-user: {self._user}\r\nx-auth-key: {self._key}\r\n\r\n"
        )
        fields = (await self._pool.exchange(head.encode())).expect().fields
        storage = urlsplit(fields["x-storage-url"])
        self._pool.close()
        self._pool = Pool(f"http://{storage.netloc}", resend=self._resend)
        self._base = storage.path
        self._lines = (
            f" HTTP/1.1\r\nhost: {storage.netloc}\r\nx-auth-token: {fields['x-auth-token']}"
        )

    async def make_container(self, container: str) -> Answer:
        """Create a container."""
        return await self._send("PUT", container, None, b"")

    async def remove_container(self, container: str) -> Answer:
        """Delete an empty container."""
        return await self._send("DELETE", container, None)

    async def put(
        self,
        container: str,
        name: str,
        body: Body,
        *,
        size: int | None = None,
        headers: Headers = None,
    ) -> Answer:
        """Store an object; a stream without `size` (bytes) goes chunked."""
        return await self._send("PUT", container, name, body, size=size, headers=headers)

    async def get(self, container: str, name: str, *, headers: Headers = None) -> Answer:
        """Read a whole object into memory."""
        return await self._send("GET", container, name, headers=headers)

    async def head(self, container: str, name: str) -> Answer:
        """Metadata of an object."""
        return await self._send("HEAD", container, name)

    async def delete(self, container: str, name: str) -> Answer:
        """Delete an object."""
        return await self._send("DELETE", container, name)

    async def page(
        self, container: str, *, after: str = "", prefix: str = "", limit: int = 0
    ) -> Answer:
        """One JSON listing of at most `limit` names (default and most: 10,000)."""
        query = {"format": "json", "marker": after, "prefix": prefix}
        if limit:
            query["limit"] = str(limit)
        wanted = {name: text for name, text in query.items() if text}
        return await self._send("GET", container, None, query=encode_query(wanted))

    def names_in(self, page: Answer) -> Sequence[Listed]:
        """The lines of a page."""
        return [Listed(entry["name"], entry["bytes"]) for entry in json.loads(page.body or b"[]")]

    async def list(self, container: str, *, prefix: str = "") -> Sequence[Listed]:
        """Every name. Raises Failed."""
        return await _all_pages(self, container, prefix)

    @asynccontextmanager
    async def stream(
        self, container: str, name: str, *, headers: Headers = None
    ) -> AsyncIterator[Download]:
        """Read an object piece by piece."""
        head = self._head("GET", container, name, headers=headers)
        async with _download(self._pool, f"{head}\r\n\r\n".encode()) as download:
            yield download

    def _head(
        self,
        method: str,
        container: str,
        name: str | None,
        *,
        query: str = "",
        headers: Headers = None,
    ) -> str:
        path = f"{self._base}/{quote(container, safe='')}"
        if name is not None:
            path += f"/{quote(name)}"
        if query:
            path += f"?{query}"
        head = f"{method} {path}{self._lines}"
        if headers:
            head += "".join([f"\r\n{field}: {value}" for field, value in headers.items()])
        return head

    async def _send(
        self,
        method: str,
        container: str,
        name: str | None,
        body: Body | None = None,
        *,
        size: int | None = None,
        query: str = "",
        headers: Headers = None,
    ) -> Answer:
        head = self._head(method, container, name, query=query, headers=headers)
        if isinstance(body, bytes):
            head += f"\r\ncontent-length: {len(body)}"
        elif size is not None:
            head += f"\r\ncontent-length: {size}"
        elif body is not None:
            head += "\r\ntransfer-encoding: chunked"
        return await self._pool.exchange(
            f"{head}\r\n\r\n".encode(), b"" if body is None else body, bodyless=method == "HEAD"
        )


@asynccontextmanager
async def _download(pool: Pool, head: bytes) -> AsyncIterator[Download]:
    connection, download = await pool.open(head)
    try:
        yield download
    finally:
        pool.done(connection)


async def _all_pages(
    client: S3Client | SwiftClient, container: str, prefix: str
) -> Sequence[Listed]:
    found: list[Listed] = []
    while True:
        after = found[-1].name if found else ""
        page = (await client.page(container, after=after, prefix=prefix)).expect()
        names = client.names_in(page)
        found += names
        if len(names) < client.page_max:
            return found
