"""Byte ranges of GET, HEAD and part copies. Pure.

Only one range is served: several, or anything that is not a byte range, mean the whole object
(RFC 9110 section 14.2 lets a server ignore them, and S3 does).
"""

from __future__ import annotations

from typing import NamedTuple

from proxy.s3.errors import S3Error, invalid_argument


class Span(NamedTuple):
    """Bytes `start` to `start + length` of an object."""

    start: int
    length: int

    def content_range(self, size: int) -> str:
        """The Content-Range of an object of `size` bytes."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size}"


def span_of(header: str, size: int) -> Span | None:
    """The bytes a Range header asks of an object, or None for the whole. Raises InvalidRange (416)."""
    unit, equals, spec = header.partition("=")
    if not equals or unit.strip().lower() != "bytes":
        return None
    first, dash, last = (part.strip() for part in spec.strip().partition("-"))
    if not dash or not (_number(first) or not first) or not (_number(last) or not last):
        return None
    if not first:
        return _suffix(last, size, header)
    start = int(first)
    end = int(last) if last else size - 1
    if last and end < start:
        return None
    if start >= size:
        raise unsatisfiable(header, size)
    return Span(start, min(end, size - 1) - start + 1)


def _suffix(last: str, size: int, header: str) -> Span | None:
    if not last:
        return None
    count = min(int(last), size)
    if count == 0:
        raise unsatisfiable(header, size)
    return Span(size - count, count)


def copy_span(header: str, size: int) -> Span:
    """The bytes of x-amz-copy-source-range, `bytes=first-last`, both given and inside the source.

    Raises InvalidArgument, InvalidRange.
    """
    unit, equals, spec = header.partition("=")
    first, dash, last = spec.partition("-")
    if unit != "bytes" or not equals or not dash or not _number(first) or not _number(last):
        raise invalid_argument(
            "x-amz-copy-source-range",
            header,
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and "
            "last are the zero-based offsets of the first and last bytes to copy",
        )
    start, end = int(first), int(last)
    if end < start or end >= size:
        raise S3Error(
            "InvalidArgument",
            f"Range specified is not valid for source object of size: {size}",
            fields=(("ArgumentName", "x-amz-copy-source-range"), ("ArgumentValue", header)),
        )
    return Span(start, end - start + 1)


def unsatisfiable(header: str, size: int) -> S3Error:
    """InvalidRange with its documented fields."""
    return S3Error(
        "InvalidRange", fields=(("RangeRequested", header), ("ActualObjectSize", str(size)))
    )


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
