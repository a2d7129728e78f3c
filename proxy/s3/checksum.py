"""The additional checksums of S3: algorithms, their headers, and how parts combine. Pure.

An object carries at most one. For a multipart object it is either COMPOSITE (the checksum of the
parts' checksums, written `<base64>-<parts>`) or FULL_OBJECT (that of all bytes, for CRCs combined from
the parts' without reading data). Values travel as base64 in `x-amz-checksum-<name>`.
Reference: Amazon S3 User Guide, "Checking object integrity".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import anycrc
import xxhash

from proxy.s3.errors import S3Error

COMPOSITE = "COMPOSITE"
FULL_OBJECT = "FULL_OBJECT"
HEADER_PREFIX = "x-amz-checksum-"
ATTRIBUTE_PREFIX = "s3:checksum-"
TYPE_ATTRIBUTE = "s3:checksum-type"
_NOT_VALUES = frozenset(
    {b"x-amz-checksum-algorithm", b"x-amz-checksum-mode", b"x-amz-checksum-type"}
)


class Hasher(Protocol):
    """Takes bytes and gives a digest."""

    def update(self, data: bytes, /) -> Any:
        """Take more bytes."""
        ...

    def digest(self) -> bytes:
        """Digest of everything taken."""
        ...


class _Crc:
    """A CRC as a hasher."""

    __slots__ = ("_model", "_size", "_value")

    def __init__(self, model: Any, size: int) -> None:
        self._model = model
        self._size = size
        self._value = model.calc(b"")

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""
        self._value = self._model.calc(data, self._value)

    def digest(self) -> bytes:
        """Big-endian value."""
        return int(self._value).to_bytes(self._size, "big")


_CRC32 = anycrc.Model("CRC32")
_CRC32C = anycrc.Model("CRC32C")
_CRC64NVME = anycrc.Model("CRC64-NVME")


class Algorithm(NamedTuple):
    """One algorithm: its name in the API, in headers, and what it can do."""

    name: str
    new: Callable[[], Hasher]
    size: int  # bytes of a digest
    types: tuple[str, ...]  # what a multipart upload may ask for, the default first
    model: Any = None  # CRCs combine

    @property
    def header(self) -> str:
        """`x-amz-checksum-crc32`."""
        return HEADER_PREFIX + self.name.lower()

    @property
    def attribute(self) -> str:
        """`s3:checksum-crc32`."""
        return ATTRIBUTE_PREFIX + self.name.lower()

    @property
    def tag(self) -> str:
        """`ChecksumCRC32`."""
        return "Checksum" + self.name


BOTH = (COMPOSITE, FULL_OBJECT)
ALGORITHMS: dict[str, Algorithm] = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm("CRC32", lambda: _Crc(_CRC32, 4), 4, BOTH, _CRC32),
        Algorithm("CRC32C", lambda: _Crc(_CRC32C, 4), 4, BOTH, _CRC32C),
        Algorithm("CRC64NVME", lambda: _Crc(_CRC64NVME, 8), 8, (FULL_OBJECT,), _CRC64NVME),
        Algorithm("SHA1", lambda: hashlib.sha1(usedforsecurity=False), 20, (COMPOSITE,)),
        Algorithm("SHA256", hashlib.sha256, 32, (COMPOSITE,)),
        Algorithm("SHA512", hashlib.sha512, 64, (COMPOSITE,)),
        Algorithm("MD5", lambda: hashlib.md5(usedforsecurity=False), 16, (COMPOSITE,)),
        Algorithm("XXHASH64", xxhash.xxh64, 8, (COMPOSITE,)),
        Algorithm("XXHASH3", xxhash.xxh3_64, 8, (COMPOSITE,)),
        Algorithm("XXHASH128", xxhash.xxh3_128, 16, (COMPOSITE,)),
    )
}
BY_HEADER = {algorithm.header.encode(): algorithm for algorithm in ALGORITHMS.values()}


class Wanted(NamedTuple):
    """What a request says of its body's checksum; `value` is None when a trailer will bring it."""

    algorithm: Algorithm
    value: str | None
    trailing: bool


def encode(digest: bytes) -> str:
    """Base64 as S3 writes it."""
    return base64.b64encode(digest).decode()


def check_value(algorithm: Algorithm, value: str) -> str:
    """The value itself if it is a digest of the algorithm. Raises InvalidRequest."""
    try:
        good = len(base64.b64decode(value, validate=True)) == algorithm.size
    except (binascii.Error, ValueError):
        good = False
    if not good:
        raise S3Error("InvalidRequest", f"Value for {algorithm.header} header is invalid.")
    return value


def named(name: str) -> Algorithm:
    """The algorithm of an API name. Raises InvalidRequest."""
    algorithm = ALGORITHMS.get(name.upper())
    if algorithm is None:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of the valid "
            f"types: [{', '.join(ALGORITHMS)}]",
        )
    return algorithm


def of_headers(headers: Mapping[bytes, bytes]) -> tuple[Algorithm, str] | None:
    """The one `x-amz-checksum-*` value among headers, or None. Raises InvalidRequest."""
    found = None
    for name in headers:
        if name.startswith(b"x-amz-checksum-") and name not in _NOT_VALUES:
            algorithm = BY_HEADER.get(name)
            if algorithm is None or found is not None:
                raise S3Error(
                    "InvalidRequest",
                    "Expecting a single x-amz-checksum- header. Multiple checksum Types are not "
                    "allowed.",
                )
            found = (algorithm, headers[name].decode("latin-1"))
    return found


def wanted(headers: Mapping[bytes, bytes]) -> Wanted | None:
    """What the headers of an upload announce. Raises InvalidRequest."""
    trailer = headers.get(b"x-amz-trailer")
    found = of_headers(headers)
    announced = headers.get(b"x-amz-sdk-checksum-algorithm")
    result = None
    if found is not None:
        algorithm, value = found
        result = Wanted(algorithm, check_value(algorithm, value), trailing=False)
    if trailer is not None:
        result = _trailing(trailer, result)
    if announced is not None:
        algorithm = named(announced.decode("latin-1"))
        if result is None:
            raise S3Error(
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
                "x-amz-trailer headers were found.",
            )
        if result.algorithm is not algorithm:
            raise S3Error(
                "InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid."
            )
    return result


def _trailing(trailer: bytes, known: Wanted | None) -> Wanted | None:
    """The checksum that `x-amz-trailer` promises."""
    for part in trailer.lower().split(b","):
        name = part.strip()
        if name.startswith(b"x-amz-checksum-"):
            algorithm = BY_HEADER.get(name)
            if algorithm is None or known is not None:
                raise S3Error(
                    "InvalidRequest",
                    "The value specified in the x-amz-trailer header is not supported",
                )
            known = Wanted(algorithm, None, trailing=True)
        elif name:
            raise S3Error(
                "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"
            )
    return known


def mismatch(algorithm: Algorithm) -> S3Error:
    """The body is not what the checksum says."""
    return S3Error(
        "BadDigest",
        f"The {algorithm.name} you specified did not match the calculated checksum.",
    )


def stored(attributes: Mapping[str, str]) -> tuple[Algorithm, str, str] | None:
    """Algorithm, value and type kept with an object, or None."""
    kind = attributes.get(TYPE_ATTRIBUTE)
    if kind is None:
        return None
    for algorithm in ALGORITHMS.values():
        value = attributes.get(algorithm.attribute)
        if value is not None:
            return algorithm, value, kind
    return None


def attributes_of(algorithm: Algorithm, value: str, kind: str = FULL_OBJECT) -> dict[str, str]:
    """What to keep with an object."""
    return {algorithm.attribute: value, TYPE_ATTRIBUTE: kind}


def multipart_type(algorithm: Algorithm, asked: str | None) -> str:
    """The checksum type of a multipart upload. Raises InvalidRequest."""
    if asked is None:
        return algorithm.types[0]
    if asked.upper() not in algorithm.types:
        raise S3Error(
            "InvalidRequest",
            f"The {asked.upper()} checksum type cannot be used with the {algorithm.name.lower()} "
            "checksum algorithm.",
        )
    return asked.upper()


def composite(algorithm: Algorithm, values: Iterable[str]) -> str:
    """Checksum of the parts' checksums, `<base64>-<parts>`."""
    hasher = algorithm.new()
    count = 0
    for value in values:
        hasher.update(base64.b64decode(value))
        count += 1
    return f"{encode(hasher.digest())}-{count}"


def combined(algorithm: Algorithm, parts: Iterable[tuple[str, int]]) -> str:
    """CRC of all bytes from each part's CRC and size in bytes."""
    model = algorithm.model
    total = model.calc(b"")
    for value, size in parts:
        part = int.from_bytes(base64.b64decode(value), "big")
        total = model.combine(total, part, size)
    return encode(int(total).to_bytes(algorithm.size, "big"))
