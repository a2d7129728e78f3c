"""An incremental parser of HTTP/1.1 responses, as small as a load generator wants it. Pure.

It takes bytes as they come and yields the status, the head as it was sent and the body in pieces.
It knows the framings of RFC 9112 section 6.3: no body (1xx, 204, 304, answers to HEAD), chunked,
Content-Length, and a body that the end of the connection ends. Bytes after the end of a response
are an error, because its user never sends a second request before the first is answered.
"""

from __future__ import annotations

import re

HEAD_BYTES_MAX = 256 * 1024
LINE_BYTES_MAX = 4096
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [^\r\n]*)?\Z")

HEAD, COUNTED, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, ENDLESS, DONE = range(8)


class BadResponse(Exception):
    """The server broke HTTP's framing, or went away in the middle of a response."""


class ResponseParser:
    """One response at a time: `start`, `feed` until `complete`, `take` the pieces of the body."""

    def __init__(self) -> None:
        self.start()

    def start(self, *, bodyless: bool = False) -> None:
        """Begin the next response; `bodyless` for the answer to a HEAD."""
        self.status = 0
        self.head = b""
        self.length: int | None = None  # of the whole body, when the head says it
        self.keep_alive = True
        self.body_bytes = 0
        self._bodyless = bodyless
        self._state = HEAD
        self._held = b""
        self._left = 0
        self._pieces: list[bytes] = []

    @property
    def complete(self) -> bool:
        """The whole response has been fed."""
        return self._state == DONE

    @property
    def headed(self) -> bool:
        """Status and head are known."""
        return self._state != HEAD

    @property
    def begun(self) -> bool:
        """Some of the response has arrived."""
        return self._state != HEAD or bool(self._held)

    def take(self) -> list[bytes]:
        """Pieces of body that came since the last call."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def feed(self, data: bytes) -> None:
        """Take bytes. Raises BadResponse."""
        while data:
            state = self._state
            if state == COUNTED:
                if len(data) > self._left:
                    raise BadResponse("bytes follow the end of the response")
                self._left -= len(data)
                self._piece(data)
                if not self._left:
                    self._state = DONE
                return
            if state == HEAD:
                data = self._take_head(data)
            elif state == CHUNK:
                data = self._take_chunk(data)
            elif state == ENDLESS:
                self._piece(data)
                return
            elif state == DONE:
                raise BadResponse("bytes follow the end of the response")
            else:
                data = self._take_line(data)

    def eof(self) -> None:
        """The connection ended. Raises BadResponse unless that ends the response too."""
        self.keep_alive = False
        if self._state == ENDLESS:
            self._state = DONE
        elif self._state != DONE:
            raise BadResponse("the server closed the connection in the middle of a response")

    def _piece(self, data: bytes) -> None:
        self.body_bytes += len(data)
        self._pieces.append(data)

    def _take_head(self, data: bytes) -> bytes:
        if self._held:
            data, self._held = self._held + data, b""
        end = data.find(b"\r\n\r\n")
        if end < 0 or end > HEAD_BYTES_MAX:
            if len(data) > HEAD_BYTES_MAX:
                raise BadResponse("the head is too long")
            self._held = data
            return b""
        self._read_head(data[:end])
        return data[end + 4 :]

    def _read_head(self, head: bytes) -> None:
        first = head.find(b"\r\n")
        match = STATUS_LINE.match(head if first < 0 else head[:first])
        if match is None:
            raise BadResponse(f"not a status line: {head[:80]!r}")
        status = int(match[1])
        if status < 200:
            return  # an interim response; the real one follows
        self.status = status
        self.head = head
        lower = head.lower()
        if b"\r\nconnection: close" in lower or head.startswith(b"HTTP/1.0"):
            self.keep_alive = False
        length = _field(lower, b"\r\ncontent-length:")
        if length is not None:
            if not length.isdigit() or len(length) > 18:
                raise BadResponse("Content-Length is not a number")
            self.length = int(length)
        if self._bodyless or status in {204, 304}:
            self._state = DONE
        elif (encoding := _field(lower, b"\r\ntransfer-encoding:")) is not None:
            if encoding != b"chunked" or length is not None:
                raise BadResponse("ambiguous framing")
            self._state = CHUNK_SIZE
        elif length is None:
            self._state = ENDLESS
        else:
            self._left = self.length or 0
            self._state = COUNTED if self._left else DONE

    def _take_chunk(self, data: bytes) -> bytes:
        piece = data[: self._left]
        self._left -= len(piece)
        self._piece(piece)
        if not self._left:
            self._state = CHUNK_END
        return data[len(piece) :]

    def _take_line(self, data: bytes) -> bytes:
        data = self._held + data
        end = data.find(b"\r\n")
        if end < 0 or end > LINE_BYTES_MAX:
            if len(data) > LINE_BYTES_MAX:
                raise BadResponse("a chunk's size line is too long")
            self._held = data
            return b""
        self._held = b""
        self._read_line(data[:end])
        return data[end + 2 :]

    def _read_line(self, line: bytes) -> None:
        if self._state == CHUNK_END:
            if line:
                raise BadResponse("a chunk is longer than it says")
            self._state = CHUNK_SIZE
        elif self._state == CHUNK_SIZE:
            digits = line.partition(b";")[0].strip()
            if not digits or len(digits) > 15 or digits.translate(None, b"0123456789abcdefABCDEF"):
                raise BadResponse("a chunk's size is not a number")
            self._left = int(digits, 16)
            self._state = CHUNK if self._left else TRAILER
        elif not line:
            self._state = DONE


def _field(lower: bytes, name: bytes) -> bytes | None:
    """Value of a header in a head of lower case; `name` with line break and colon."""
    at = lower.find(name)
    if at < 0:
        return None
    at += len(name)
    end = lower.find(b"\r\n", at)
    return (lower[at:] if end < 0 else lower[at:end]).strip()


def header_fields(head: bytes) -> dict[str, str]:
    """Headers by name in lower case; a repeated one is joined with commas."""
    fields: dict[str, str] = {}
    for line in head.split(b"\r\n")[1:]:
        raw_name, _, raw_value = line.partition(b":")
        name = raw_name.decode("latin-1").strip().lower()
        value = raw_value.decode("utf-8", "replace").strip()
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields
