"""The aws-chunked body encoding as an incremental state machine. Pure.

Bytes go in as they arrive, decoded pieces come out; nothing is buffered but an unfinished line, whose
length is bounded. Each chunk's signature (when the mode signs chunks) is decided when its last byte
has passed, the trailer's when the trailer ends; a caller commits nothing before `finish` returns. A
body that ends early is IncompleteBody, whatever byte it ends at.
Reference: Amazon S3 API, "Signature Calculations for the Authorization Header: Transferring Payload in
Multiple Chunks" and "... Including Trailing Headers".
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from core import limits
from proxy.s3.errors import S3Error

SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
MODES = frozenset({SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER})

LINE_BYTES_MAX = 4096
TRAILER_LINES_MAX = 16
SIZE_DIGITS_MAX = 16
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
_SIGNATURE = b"x-amz-trailer-signature"
_HEX_DIGITS = b"0123456789abcdefABCDEF"

HEAD, DATA, DATA_END, TRAILER, DONE = "head", "data", "data-end", "trailer", "done"


class Chain(NamedTuple):
    """What signs the chunks: the derived key, time and scope, and the signature of the headers."""

    key: bytes
    timestamp: str
    scope: str
    seed: str


class Decoder:
    """One body. `length` is x-amz-decoded-content-length in bytes."""

    def __init__(
        self, mode: str, length: int, *, chain: Chain | None, announced: frozenset[str]
    ) -> None:
        assert mode in MODES
        assert (chain is not None) == (mode != UNSIGNED_TRAILER)
        self.trailers: dict[str, str] = {}
        self._chain = chain
        self._previous = "" if chain is None else chain.seed
        self._with_trailer = mode != SIGNED
        self._announced = announced
        self._left = length  # decoded bytes still to come
        self._state = HEAD
        self._line = bytearray()
        self._chunk_left = 0
        self._last = False  # the chunk under way is the empty one
        self._signature = ""
        self._hash = hashlib.sha256()
        self._lines: list[bytes] = []  # trailer lines, for their signature

    def feed(self, data: bytes) -> list[bytes]:
        """Take a piece of the encoded body, return the decoded pieces in it. Raises S3Error."""
        pieces: list[bytes] = []
        position = 0
        end = len(data)
        while position < end:
            if self._state is DATA:
                piece = data[position : position + self._chunk_left]
                position += len(piece)
                self._take(piece)
                pieces.append(piece)
            elif self._state is DONE:
                raise _incomplete("there are bytes after the last chunk")
            else:
                position = self._read_line(data, position)
        return pieces

    def finish(self) -> None:
        """The encoded body is over. Raises IncompleteBody unless it was complete."""
        if self._state is not DONE:
            raise _incomplete("the body ended before its last chunk")
        if self._left:
            raise _incomplete("the body is shorter than x-amz-decoded-content-length")

    def _take(self, piece: bytes) -> None:
        self._chunk_left -= len(piece)
        if self._chain is not None:
            self._hash.update(piece)
        if not self._chunk_left:
            self._end_chunk()
            self._state = DATA_END

    def _read_line(self, data: bytes, position: int) -> int:
        """Collect a line up to its LF; return the position after what was used."""
        newline = data.find(b"\n", position)
        stop = len(data) if newline < 0 else newline + 1
        if len(self._line) + stop - position > LINE_BYTES_MAX:
            raise _malformed("a chunk header or trailer line is too long")
        self._line += data[position:stop]
        if newline >= 0:
            line = bytes(self._line)
            self._line.clear()
            if not line.endswith(b"\r\n"):
                raise _malformed("a line does not end in CR LF")
            self._on_line(line[:-2])
        return stop

    def _on_line(self, line: bytes) -> None:
        if self._state is HEAD:
            self._on_head(line)
        elif self._state is DATA_END:
            if line:
                raise _malformed("chunk data is not followed by CR LF")
            self._state = DONE if self._last else HEAD
        else:
            self._on_trailer(line)

    def _on_head(self, line: bytes) -> None:
        """`<hex size>[;chunk-signature=<hex>]`."""
        digits, _, extension = line.partition(b";")
        if not digits or len(digits) > SIZE_DIGITS_MAX or digits.translate(None, _HEX_DIGITS):
            raise _malformed("a chunk size is not a hexadecimal number")
        size = int(digits, 16)
        if self._chain is not None:
            name, _, value = extension.partition(b"=")
            if name.strip() != b"chunk-signature":
                raise _malformed("a chunk has no signature")
            self._signature = value.strip().decode("latin-1")
        if size > self._left:
            raise _incomplete("the chunks hold more than x-amz-decoded-content-length")
        self._left -= size
        if size:
            self._chunk_left = size
            self._state = DATA
            return
        self._last = True
        self._end_chunk()
        self._state = TRAILER if self._with_trailer else DATA_END

    def _end_chunk(self) -> None:
        """Verify the chunk that just ended."""
        if self._chain is None:
            return
        self._verify(
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._chain.timestamp}\n{self._chain.scope}\n"
            f"{self._previous}\n{_EMPTY_SHA256}\n{self._hash.hexdigest()}",
            self._signature,
        )
        self._hash = hashlib.sha256()

    def _verify(self, to_sign: str, given: str) -> None:
        assert self._chain is not None
        expected = hmac.digest(self._chain.key, to_sign.encode("utf-8", "replace"), "sha256").hex()
        if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
            raise S3Error("SignatureDoesNotMatch")
        self._previous = expected

    def _on_trailer(self, line: bytes) -> None:
        if not line:
            self._end_trailer()
            return
        if len(self._lines) >= TRAILER_LINES_MAX:
            raise S3Error("MalformedTrailerError")
        name, colon, value = line.partition(b":")
        name = name.strip().lower()
        try:
            key, text = name.decode("ascii"), value.strip().decode("ascii")
        except UnicodeDecodeError:
            raise S3Error("MalformedTrailerError") from None
        if not colon or not key or key in self.trailers:
            raise S3Error("MalformedTrailerError")
        self.trailers[key] = text
        if name != _SIGNATURE:
            self._lines.append(name + b":" + value.strip() + b"\n")

    def _end_trailer(self) -> None:
        """The trailer must be what the headers announced, and signed if the chunks are."""
        given = self.trailers.pop(_SIGNATURE.decode(), None)
        if self._chain is not None:
            digest = hashlib.sha256(b"".join(sorted(self._lines))).hexdigest()
            self._verify(
                f"AWS4-HMAC-SHA256-TRAILER\n{self._chain.timestamp}\n{self._chain.scope}\n"
                f"{self._previous}\n{digest}",
                given or "",
            )
        elif given is not None:
            raise S3Error("MalformedTrailerError")
        if frozenset(self.trailers) != self._announced:
            raise S3Error("MalformedTrailerError")
        self._state = DONE


def decoded_length(value: bytes | None) -> int:
    """x-amz-decoded-content-length in bytes. Raises MissingContentLength, InvalidArgument."""
    if value is None:
        raise S3Error("MissingContentLength")
    if not value.isdigit() or len(value) > 20:
        raise S3Error("InvalidArgument", "x-amz-decoded-content-length is not a number.")
    return int(value)


def _incomplete(message: str) -> S3Error:
    return S3Error("IncompleteBody", f"The request body terminated unexpectedly: {message}")


def _malformed(message: str) -> S3Error:
    return S3Error("InvalidRequest", f"The aws-chunked body is malformed: {message}")


assert LINE_BYTES_MAX < limits.HEADER_BYTES_MAX
