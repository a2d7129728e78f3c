"""Reading a tar archive (plain, gzip, bzip2) as it arrives, without holding more than a block of it.

Formats: POSIX ustar and pax, GNU long names. Only regular files have a body to read; everything else is
skipped. A truncated or broken archive raises Refused("BadArchive"). Extended attributes
`user.mime_type` and `user.meta.*` of pax headers are offered, as GNU tar and libarchive write them.
"""

from __future__ import annotations

import bz2
import tarfile
import zlib
from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

from core.errors import Refused

BLOCK = 512
OUT_BYTES_MAX = 256 * 1024  # inflated at once
HEADER_BYTES_MAX = 1 << 20  # of a pax header or a long name
FILES = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE})
XATTR_PREFIXES = ("SCHILY.xattr.user.", "LIBARCHIVE.xattr.user.")


class Entry(NamedTuple):
    """A regular file of the archive; `attributes` are its extended attributes below `user.`."""

    name: str
    size: int
    attributes: dict[str, str]


def broken(why: str) -> Refused:
    """The archive cannot be read on."""
    return Refused("BadArchive", f"Invalid Tar File: {why}")


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...
    def pull(self, data: bytes) -> bytes: ...
    @property
    def hungry(self) -> bool: ...


class _Gzip:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    def pull(self, data: bytes) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, OUT_BYTES_MAX)

    @property
    def hungry(self) -> bool:
        return not self._inflate.unconsumed_tail


class _Bzip2:
    def __init__(self) -> None:
        self._inflate = bz2.BZ2Decompressor()

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    def pull(self, data: bytes) -> bytes:
        return self._inflate.decompress(data, OUT_BYTES_MAX)

    @property
    def hungry(self) -> bool:
        return self._inflate.needs_input


INFLATERS = {"tar": None, "tar.gz": _Gzip, "tar.bz2": _Bzip2}


async def inflated(body: AsyncIterator[bytes], form: str) -> AsyncIterator[bytes]:
    """The archive's bytes; `form` is tar, tar.gz or tar.bz2. Raises Refused("BadArchive")."""
    maker = INFLATERS[form]
    if maker is None:
        async for chunk in body:
            yield chunk
        return
    inflater: _Inflater = maker()
    async for chunk in body:
        if inflater.eof:
            continue
        try:
            yield inflater.pull(chunk)
            while not inflater.eof and not inflater.hungry:
                yield inflater.pull(b"")
        except (zlib.error, OSError, EOFError, ValueError) as error:
            raise broken(str(error)) from None
    if not inflater.eof:
        raise broken("the compressed stream ends early")


class Archive:
    """Entries one after another; the body of each is read, or skipped, before the next."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._left = 0  # of the current entry's body
        self._padding = 0

    async def next(self) -> Entry | None:
        """The next regular file, None at the end."""
        long_name = ""
        pax: dict[str, str] = {}
        while True:
            await self._skip_body()
            block = await self._exactly(BLOCK, at_end=True)
            if not block.strip(b"\0"):
                return None
            try:
                info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                raise broken(str(error)) from None
            size = info.size
            if info.type in {tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE}:
                pax = _pax_records(await self._header_body(size))
            elif info.type == tarfile.GNUTYPE_LONGNAME:
                long_name = _text((await self._header_body(size)).rstrip(b"\0"))
            elif info.type in FILES:
                size = _size(pax.get("size"), size)
                self._begin(size)
                name = pax.get("path") or long_name or info.name
                return Entry(name, size, _user_attributes(pax))
            else:
                self._begin(size)
                if info.type not in {tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE}:
                    long_name, pax = "", {}

    async def body(self) -> AsyncIterator[bytes]:
        """Bytes of the current entry that were not read yet."""
        while self._left:
            chunk = await self._some(self._left)
            self._left -= len(chunk)
            yield chunk

    async def _skip_body(self) -> None:
        left = self._left + self._padding
        self._left = self._padding = 0
        while left:
            left -= len(await self._some(left))

    def _begin(self, size: int) -> None:
        if size < 0:
            raise broken("a negative size")
        self._left = size
        self._padding = -size % BLOCK

    async def _header_body(self, size: int) -> bytes:
        if not 0 <= size <= HEADER_BYTES_MAX:
            raise broken("an extended header is too large")
        data = await self._exactly(size)
        await self._exactly(-size % BLOCK)
        return data

    async def _some(self, size_max: int) -> bytes:
        """1 to `size_max` bytes; broken at the end."""
        while not self._buffer:
            chunk = await anext(self._chunks, None)
            if chunk is None:
                raise broken("unexpected end of data")
            self._buffer = chunk
        chunk, self._buffer = self._buffer[:size_max], self._buffer[size_max:]
        return chunk

    async def _exactly(self, size: int, *, at_end: bool = False) -> bytes:
        """`size` bytes; with `at_end`, zeros where the archive ends cleanly."""
        parts: list[bytes] = []
        left = size
        while left:
            if at_end and left == size and not self._buffer:
                chunk = await anext(self._chunks, None)
                if chunk is None:
                    return bytes(size)
                self._buffer = chunk
                continue
            parts.append(await self._some(left))
            left -= len(parts[-1])
        return b"".join(parts)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _size(text: str | None, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise broken("a bad size in an extended header")
    return int(text)


def _pax_records(data: bytes) -> dict[str, str]:
    """Records `<length> <key>=<value>` and a newline of a pax header (POSIX.1-2001)."""
    records: dict[str, str] = {}
    position = 0
    while position < len(data):
        space = data.find(b" ", position, position + 20)
        digits = data[position:space] if space > 0 else b""
        if not digits.isdigit():
            raise broken("a bad extended header")
        end = position + int(digits)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or end <= position:
            raise broken("a bad extended header")
        records[_text(key)] = _text(value)
        position = end
    return records


def _user_attributes(pax: dict[str, str]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for key, value in pax.items():
        for prefix in XATTR_PREFIXES:
            if key.startswith(prefix):
                attributes[key[len(prefix) :]] = value
    return attributes
