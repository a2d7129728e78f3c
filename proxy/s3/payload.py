"""The body of a verified request: decoded, bounded and checked while it streams.

Nothing counts as received until the stream has ended without raising: the payload's SHA-256, the
chunk and trailer signatures, the additional checksum and the announced length are all decided at the
last byte, and a store that is fed this stream commits nothing when it raises.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping

from core import limits
from core.http import Body
from proxy.s3 import checksum, chunked
from proxy.s3.checksum import Algorithm, Hasher
from proxy.s3.errors import S3Error
from proxy.s3.sigv4 import UNSIGNED_PAYLOAD, Verified

PUT_BYTES_MAX = 5 * limits.GIB  # one PUT or one part, S3's own limit
_HEX_DIGITS = frozenset("0123456789abcdef")

assert PUT_BYTES_MAX <= limits.PUT_BYTES_MAX


class Payload:
    """One body. `size` is its decoded length in bytes, or None when the client does not tell.

    Raises S3Error for headers that contradict each other. `algorithm` is computed even when the
    client sent no value (a part of an upload that has one). Without `announced`, checksum headers are
    not about this body.
    """

    __slots__ = (
        "_announced", "_body", "_decoder", "_hasher", "_sha256", "_size_max", "_value",
        "_verified",
        "algorithm", "content_md5", "size",
    )  # fmt: skip

    def __init__(
        self,
        body: Body,
        headers: Mapping[bytes, bytes],
        verified: Verified,
        *,
        algorithm: Algorithm | None = None,
        size_max: int = PUT_BYTES_MAX,
        announced: bool = True,
    ) -> None:
        self._body = body
        self._verified = verified
        self._size_max = size_max
        self._decoder: chunked.Decoder | None = None
        self._sha256: str | None = None
        self._announced = checksum.wanted(headers) if announced else None
        self.algorithm = algorithm if self._announced is None else self._announced.algorithm
        self._value = ""
        self._hasher: Hasher | None = None
        if self.algorithm is not None:
            self._hasher = self.algorithm.new()
        self.size = body.length
        md5 = headers.get(b"content-md5")
        self.content_md5 = None if md5 is None else hex_of_md5(md5)
        mode = verified.signed.payload_hash
        if mode in chunked.MODES:
            self._decode(mode, headers)
        elif mode != UNSIGNED_PAYLOAD:
            if len(mode) != 64 or not _HEX_DIGITS.issuperset(mode):
                raise S3Error(
                    "InvalidArgument",
                    "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-"
                    "TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-"
                    "PAYLOAD-TRAILER or a valid sha256 value.",
                )
            self._sha256 = mode
        if self._decoder is None and self._announced is not None and self._announced.trailing:
            raise S3Error(
                "InvalidRequest", "x-amz-trailer is only valid with an aws-chunked payload."
            )
        if self.size is not None and self.size > size_max:
            raise too_large(self.size, size_max)

    def _decode(self, mode: str, headers: Mapping[bytes, bytes]) -> None:
        """Set up the aws-chunked decoder."""
        self.size = chunked.decoded_length(headers.get(b"x-amz-decoded-content-length"))
        announced: frozenset[str] = frozenset()
        if self._announced is not None and self._announced.trailing:
            announced = frozenset({self._announced.algorithm.header})
        chain = None
        if mode != chunked.UNSIGNED_TRAILER:
            signed = self._verified.signed
            chain = chunked.Chain(
                self._verified.key, signed.timestamp, signed.scope.text, signed.signature
            )
        self._decoder = chunked.Decoder(mode, self.size, chain=chain, announced=announced)

    async def stream(self) -> AsyncIterator[bytes]:
        """The decoded bytes in order. Raises S3Error and BodyTruncated."""
        read = self._body.read
        decoder = self._decoder
        sha256 = None if self._sha256 is None else hashlib.sha256()
        hasher = self._hasher
        total = 0
        while piece := await read():
            for data in (piece,) if decoder is None else decoder.feed(piece):
                total += len(data)
                if total > self._size_max:
                    raise too_large(total, self._size_max)
                if sha256 is not None:
                    sha256.update(data)
                if hasher is not None:
                    hasher.update(data)
                yield data
        if decoder is not None:
            decoder.finish()
        if sha256 is not None:
            self._check_sha256(sha256.hexdigest())
        if self._announced is not None:
            self._check_checksum()

    async def read_document(self) -> bytes:
        """The whole of a small document, with its Content-MD5 checked."""
        data = b"".join([piece async for piece in self.stream()])
        if self.content_md5 is not None:
            self.check_md5(hashlib.md5(data, usedforsecurity=False).hexdigest())
        return data

    @property
    def checksum(self) -> str:
        """Base64 checksum of all bytes, after the stream has ended, when there is an `algorithm`."""
        if not self._value:
            assert self._hasher is not None
            self._value = checksum.encode(self._hasher.digest())
        return self._value

    def check_md5(self, md5: str) -> None:
        """Compare the body's hex MD5 with Content-MD5. Raises BadDigest."""
        if self.content_md5 is not None and self.content_md5 != md5:
            raise S3Error(
                "BadDigest",
                fields=(("ExpectedDigest", self.content_md5), ("CalculatedDigest", md5)),
            )

    def _check_sha256(self, computed: str) -> None:
        assert self._sha256 is not None
        if not hmac.compare_digest(self._sha256, computed):
            raise S3Error(
                "XAmzContentSHA256Mismatch",
                fields=(
                    ("ClientComputedContentSHA256", self._sha256),
                    ("S3ComputedContentSHA256", computed),
                ),
            )

    def _check_checksum(self) -> None:
        assert self._announced is not None
        algorithm = self._announced.algorithm
        value = self._announced.value
        if self._announced.trailing:
            assert self._decoder is not None
            value = checksum.check_value(algorithm, self._decoder.trailers[algorithm.header])
        if value != self.checksum:
            raise checksum.mismatch(algorithm)


def require_length(body: Body, headers: Mapping[bytes, bytes]) -> None:
    """A body must be announced. Raises MissingContentLength (411)."""
    if body.length == 0 and b"content-length" not in headers:
        raise S3Error("MissingContentLength")


def hex_of_md5(value: bytes) -> str:
    """Hex of a Content-MD5 header. Raises InvalidDigest."""
    try:
        digest = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise S3Error("InvalidDigest", fields=(("Content-MD5", value.decode("latin-1")),))
    return digest.hex()


def too_large(size: int, size_max: int) -> S3Error:
    """EntityTooLarge with both sizes."""
    return S3Error(
        "EntityTooLarge",
        fields=(("ProposedSize", str(size)), ("MaxSizeAllowed", str(size_max))),
    )
