"""Reading a multipart/form-data body as it arrives (RFC 7578), part by part.

Only what is needed to find the next boundary is held in memory. A body that breaks the framing, ends
early or has an oversized part head raises Refused("BadForm").
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple

from core.errors import Refused

HEAD_BYTES_MAX = 16 * 1024
BOUNDARY_CHARS_MAX = 200


class Part(NamedTuple):
    """Head of a part: names are lower-case. `filename` is None for a plain field."""

    name: str
    filename: str | None
    headers: dict[str, str]


def broken(why: str) -> Refused:
    """The form cannot be read on."""
    return Refused("BadForm", why)


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """Main value and parameters of `form-data; name="a"; filename="b"`."""
    main, _, rest = value.partition(";")
    found: dict[str, str] = {}
    while rest:
        name, equals, rest = rest.partition("=")
        rest = rest.lstrip()
        if not equals:
            break
        if rest.startswith('"'):
            text, rest = _quoted(rest)
            _, _, rest = rest.partition(";")
        else:
            text, _, rest = rest.partition(";")
        found[name.strip().lower()] = text.strip() if not text.startswith(" ") else text
    return main.strip().lower(), found


def _quoted(text: str) -> tuple[str, str]:
    """Content of a quoted string, and what follows. Browsers write `%22` for a quote inside."""
    chars: list[str] = []
    index = 1
    while index < len(text) and text[index] != '"':
        if text[index] == "\\" and text[index + 1 : index + 2] in {'"', "\\"}:
            index += 1
        chars.append(text[index])
        index += 1
    return "".join(chars), text[index + 1 :]


def boundary_of(content_type: str) -> str | None:
    """Boundary of a multipart/form-data Content-Type, None for any other type."""
    main, found = parameters(content_type)
    boundary = found.get("boundary", "")
    usable = 0 < len(boundary) <= BOUNDARY_CHARS_MAX and boundary.isascii()
    return boundary if main == "multipart/form-data" and usable else None


class Form:
    """The parts of a form, one after another; the body of each is read, or skipped, before the next."""

    def __init__(self, chunks: AsyncIterator[bytes], boundary: str) -> None:
        self._chunks = chunks
        self._mark = b"\r\n--" + boundary.encode()
        self._buffer = b"\r\n"
        self._in_body = True  # of the preamble, which is skipped like a part

    async def next(self) -> Part | None:
        """Head of the next part, None after the last."""
        async for _ in self.body():
            pass
        while len(self._buffer) < 2:
            await self._more()
        if self._buffer.startswith(b"--"):
            return None
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > HEAD_BYTES_MAX:
                raise broken("the head of a part is too large")
            await self._more()
        head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
        self._in_body = True
        while len(self._buffer) < len(self._mark) - 2:
            await self._more()
        if self._buffer.startswith(self._mark[2:]):
            self._buffer = (
                b"\r\n" + self._buffer
            )  # a body of no bytes, written without its line break
        return _part(head)

    async def body(self) -> AsyncIterator[bytes]:
        """Bytes of the current part that were not read yet."""
        keep = len(self._mark) - 1
        while self._in_body:
            at = self._buffer.find(self._mark)
            if at >= 0:
                chunk, self._buffer = self._buffer[:at], self._buffer[at + len(self._mark) :]
                self._in_body = False
            else:
                cut = max(0, len(self._buffer) - keep)
                chunk, self._buffer = self._buffer[:cut], self._buffer[cut:]
                if not chunk:
                    await self._more()
            if chunk:
                yield chunk

    async def _more(self) -> None:
        chunk = await anext(self._chunks, None)
        if chunk is None:
            raise broken("the form ends early")
        self._buffer += chunk


def _part(head: bytes) -> Part:
    headers: dict[str, str] = {}
    for line in head.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    _, found = parameters(headers.get("content-disposition", ""))
    return Part(found.get("name", "").lower(), found.get("filename"), headers)
