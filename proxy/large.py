"""Large objects: one name whose bytes are those of many other objects, read by either dialect.

A static large object (SLO) lists its segments in a manifest, its own body; a dynamic one (DLO) names a
container and a prefix, percent-encoded as the client sent them; a symbolic link names one other object. The manifest was checked when it was
stored, and each segment is checked again when it is read: a segment that is gone or changed raises
Conflict("SegmentChanged"), before the first byte if `prepare` is awaited, else in mid-stream, where it
cuts the connection. Segments may themselves be large, `DEPTH_MAX` deep.
"""

from __future__ import annotations

import asyncio
import base64
import bisect
import hashlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import NamedTuple
from urllib.parse import unquote

import msgspec

from core.errors import Conflict, Corrupt, NotFound
from core.limits import LISTING_LIMIT_MAX
from proxy.store.port import Store
from proxy.store.record import Found, ListQuery, ObjectName

SLO = "swift:slo"
DLO = "swift:dlo"
LINK = "swift:symlink"
LINK_ACCOUNT = "swift:symlink-account"
LINK_ETAG = "swift:symlink-etag"
LINK_SUFFIX = "-link"  # of a link's own etag, so that a listing can tell links apart
DEPTH_MAX = 10
LINKS_MAX = 2  # a link to a link is followed, a third is refused (Swift: symloop_max)
DYNAMIC_SEGMENTS_MAX = 100_000
MD5_CHARS = 32

# (account, container, whether it is listed): raises to refuse reading there on the caller's behalf
Permit = Callable[[str, str, bool], Awaitable[None]]


class Segment(msgspec.Struct, omit_defaults=True):
    """An item of a stored static manifest, in the JSON form that `multipart-manifest=get` shows.

    Either `name` ("/container/object", with `size` and `etag` of the whole object and an optional
    inclusive `span` "first-last"), or `data`, base64 of bytes that stand in the manifest itself.
    """

    name: str = ""
    size: int = msgspec.field(default=0, name="bytes")
    etag: str = msgspec.field(default="", name="hash")
    content_type: str = ""
    modified: str = msgspec.field(default="", name="last_modified")
    span: str = msgspec.field(default="", name="range")
    sub_slo: bool = False
    data: str = ""

    @property
    def piece(self) -> tuple[int, int]:
        """First byte within the segment's object, and number of bytes."""
        if self.data:
            return 0, len(base64.b64decode(self.data))
        if not self.span:
            return 0, self.size
        first, _, last = self.span.partition("-")
        return int(first), int(last) - int(first) + 1

    @property
    def digest(self) -> str:
        """What the segment adds to the etag of the whole."""
        if self.data:
            return hashlib.md5(base64.b64decode(self.data), usedforsecurity=False).hexdigest()
        return f"{self.etag}:{self.span};" if self.span else self.etag


_decoder = msgspec.json.Decoder(list[Segment])
_encoder = msgspec.json.Encoder()


def encode_manifest(segments: Sequence[Segment]) -> bytes:
    """Stored form of a static manifest."""
    return _encoder.encode(segments)


def decode_manifest(body: bytes) -> list[Segment]:
    """Segments of a stored manifest; Corrupt when it is none."""
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise Corrupt("BadManifest", f"a stored manifest does not decode: {error}") from error


def etag_of(digests: Sequence[str]) -> str:
    """MD5 of the concatenated etags of all segments."""
    return hashlib.md5("".join(digests).encode(), usedforsecurity=False).hexdigest()


def changed(where: ObjectName) -> Conflict:
    """A segment is not what the manifest says."""
    return Conflict(
        "SegmentChanged", f"segment /{where.container}/{where.name} is missing or has changed"
    )


class Piece(NamedTuple):
    """Bytes [start, start+length) of one segment; `size` and `etag` of its object, if pinned."""

    where: ObjectName | None  # None: `data` holds the bytes
    start: int
    length: int
    size: int
    etag: str
    data: bytes


class LargeObject:
    """The concatenated bytes of the segments.

    `size` is in bytes. `etag` identifies the content to clients of either dialect but is never the MD5
    of the bytes; `digest` is the MD5 of the segments' etags (Swift shows it quoted). `content_type` and
    `modified_us` are those of the manifest, or of a link's target.
    """

    def __init__(self, store: Store, found: Found, *, permit: Permit | None, depth: int) -> None:
        self._store = store
        self._permit = permit
        self._depth = depth
        self._pieces: list[Piece] = []
        self._ends: list[int] = []  # offset at which each piece ends
        self._loaded = False
        self.found = found
        self.size = found.record.size
        self.etag = found.record.etag
        self.digest = self.etag[:MD5_CHARS]
        self.content_type = found.record.content_type
        self.modified_us = found.record.modified_us

    async def prepare(self, start: int = 0) -> None:
        """Load the manifest and check the segment that holds byte `start`; raises Conflict."""
        await self._load()
        index = bisect.bisect_right(self._ends, start)
        if index < len(self._pieces):
            await self._open(self._pieces[index])

    async def parts(self) -> list[tuple[int, int]]:
        """Start and length of every segment, in order."""
        await self._load()
        starts = [0, *self._ends]
        return [(s, e - s) for s, e in itertools.pairwise(starts)]

    async def read(self, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Bytes [start, start+length) as a stream; the next segment is opened while one is sent."""
        await self._load()
        pieces = self._cut(start, self.size - start if length is None else length)
        loop = asyncio.get_running_loop()
        ahead: asyncio.Task[AsyncIterator[bytes]] | None = None
        try:
            for index, piece in enumerate(pieces):
                stream = await (ahead or self._open(piece))
                ahead = None
                if index + 1 < len(pieces):
                    ahead = loop.create_task(self._open(pieces[index + 1]))
                async for chunk in stream:
                    yield chunk
        finally:
            if ahead is not None:
                ahead.cancel()
                await asyncio.gather(ahead, return_exceptions=True)

    def _cut(self, start: int, length: int) -> list[Piece]:
        """Pieces that make up [start, start+length)."""
        end = min(start + length, self.size)
        cut: list[Piece] = []
        index = bisect.bisect_right(self._ends, start)
        while index < len(self._pieces) and start < end:
            piece = self._pieces[index]
            piece_start = self._ends[index] - piece.length
            skip = start - piece_start
            take = min(piece.length - skip, end - start)
            cut.append(piece._replace(start=piece.start + skip, length=take))
            start += take
            index += 1
        return cut

    async def segments(self) -> list[Segment]:
        """The stored manifest."""
        body = b"".join([chunk async for chunk in self._store.read(self.found)])
        return decode_manifest(body)

    async def _load(self) -> None:
        if self._loaded:
            return
        account = self.found.where.account
        pieces: list[Piece] = []
        for segment in await self.segments():
            start, length = segment.piece
            if segment.data:
                pieces.append(Piece(None, 0, length, length, "", base64.b64decode(segment.data)))
                continue
            container, _, name = segment.name[1:].partition("/")
            where = ObjectName(account, container, name)
            pieces.append(Piece(where, start, length, segment.size, segment.etag, b""))
        self._set(pieces)

    def _set(self, pieces: list[Piece]) -> None:
        self._pieces = pieces
        self._ends = list(itertools.accumulate(piece.length for piece in pieces))
        self._loaded = True

    async def _open(self, piece: Piece) -> AsyncIterator[bytes]:
        """Check a segment and return the stream of its piece; raises Conflict."""
        if piece.where is None:
            return _bytes(piece.data[piece.start : piece.start + piece.length])
        if self._depth >= DEPTH_MAX:
            raise Conflict("TooDeep", f"large objects are nested more than {DEPTH_MAX} deep")
        if self._permit is not None:
            await self._permit(piece.where.account, piece.where.container, False)
        try:
            found = await self._store.get_object(piece.where)
        except NotFound:
            raise changed(piece.where) from None
        inner = await open_large(self._store, found, permit=self._permit, depth=self._depth + 1)
        if inner is None:
            size, etag = found.record.size, found.record.etag
        else:
            size, etag = inner.size, inner.digest
        if size != piece.size or (piece.etag and etag != piece.etag):
            raise changed(piece.where)
        if inner is None:
            return self._store.read(found, piece.start, piece.length)
        await inner.prepare(piece.start)
        return inner.read(piece.start, piece.length)


class DynamicObject(LargeObject):
    """A dynamic large object: whatever is listed under a prefix now."""

    def __init__(self, store: Store, found: Found, *, permit: Permit | None, depth: int) -> None:
        super().__init__(store, found, permit=permit, depth=depth)
        mark = unquote(found.record.attributes[DLO]).removeprefix("/")
        container, _, self._prefix = mark.partition("/")
        self._segments = ObjectName(found.where.account, container, "")

    async def list_segments(self) -> None:
        """Learn size and etag from the listing; raises NotFound("NoSuchContainer"), Conflict."""
        account, container, _, _ = self._segments
        if self._permit is not None:
            await self._permit(account, container, True)
        pieces: list[Piece] = []
        digests: list[str] = []
        marker = ""
        while True:
            query = ListQuery(prefix=self._prefix, marker=marker, limit=LISTING_LIMIT_MAX)
            page = await self._store.list_objects(account, container, query)
            for name, summary in page.rows:
                assert summary is not None
                where = ObjectName(account, container, name)
                size = summary.size
                digests.append(listed_etag(summary.etag))
                pieces.append(Piece(where, 0, size, size, "", b""))
            if not page.truncated or not page.rows:
                break
            if len(pieces) > DYNAMIC_SEGMENTS_MAX:
                raise Conflict("TooManySegments", f"more than {DYNAMIC_SEGMENTS_MAX} segments")
            marker = page.rows[-1].name
        self._set(pieces)
        self.size = self._ends[-1] if self._ends else 0
        self.digest = etag_of(digests)
        self.etag = f"{self.digest}-{len(pieces)}"


def listed_etag(etag: str) -> str:
    """MD5 of the stored body behind a record's etag, as listings show it.

    The etag of a static manifest is `<etag>-<MD5 of the manifest>`, that of a link `<MD5>-link`.
    """
    if len(etag) == 2 * MD5_CHARS + 1:
        return etag[MD5_CHARS + 1 :]
    return etag.removesuffix(LINK_SUFFIX)


class LinkedObject(LargeObject):
    """A symbolic link to a plain object."""

    def __init__(self, store: Store, target: Found) -> None:
        super().__init__(store, target, permit=None, depth=0)
        self.digest = self.etag

    async def prepare(self, start: int = 0) -> None:
        """A plain target was checked when it was found."""
        del start

    async def parts(self) -> list[tuple[int, int]]:
        """The whole is one part."""
        return [(0, self.size)]

    def read(self, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Bytes of the target."""
        return self._store.read(self.found, start, length)


async def open_large(
    store: Store, found: Found, *, permit: Permit | None = None, depth: int = 0
) -> LargeObject | None:
    """The large object that a record stands for, or None for a plain object.

    `permit` is asked before anything in a container is read on the caller's behalf. Raises NotFound when
    a link or a dynamic object leads nowhere, Conflict when it leads astray.
    """
    attributes = found.record.attributes
    if LINK in attributes:
        target = await follow(store, found, permit=permit)
        inner = await open_large(store, target, permit=permit, depth=depth)
        return LinkedObject(store, target) if inner is None else inner
    if SLO in attributes:
        return LargeObject(store, found, permit=permit, depth=depth)
    if DLO in attributes and depth < DEPTH_MAX:
        dynamic = DynamicObject(store, found, permit=permit, depth=depth)
        await dynamic.list_segments()
        return dynamic
    return None


async def follow(store: Store, found: Found, *, permit: Permit | None = None) -> Found:
    """The object at the end of a chain of symbolic links.

    Raises NotFound, Conflict("LinkLoop") for a chain that is too long, and Conflict("LinkChanged") when
    a link is pinned to an etag that its target no longer has.
    """
    for _ in range(LINKS_MAX):
        attributes = found.record.attributes
        target = attributes.get(LINK)
        if target is None:
            return found
        container, _, name = target.partition("/")
        account = attributes.get(LINK_ACCOUNT) or found.where.account
        if permit is not None:
            await permit(account, container, False)
        found = await store.get_object(ObjectName(account, container, name))
        check_pin(attributes.get(LINK_ETAG), found)
    if LINK in found.record.attributes:
        raise Conflict(
            "LinkLoop", f"Too many levels of symbolic links, maximum allowed is {LINKS_MAX}"
        )
    return found


def check_pin(pinned: str | None, found: Found) -> None:
    """Refuse a target that is not what a link was pinned to; Conflict("LinkChanged")."""
    if pinned is None:
        return
    record = found.record
    actual = record.attributes.get(LINK_ETAG) or listed_etag(record.etag)
    if pinned != actual:
        raise Conflict(
            "LinkChanged",
            f"Object Etag {actual!r} does not match X-Symlink-Target-Etag header {pinned!r}",
        )


async def _bytes(data: bytes) -> AsyncIterator[bytes]:
    yield data
