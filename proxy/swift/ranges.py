"""Byte ranges: the Range header, what of it an object can satisfy, and multipart framing. Pure.

A malformed header is ignored (RFC 9110 section 14.2). Against abuse (section 17.15) a request with more
than 50 ranges, more than 2 overlaps, or 8 and more ranges out of order cannot be satisfied.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

RANGES_MAX = 50
OVERLAPS_MAX = 2
UNORDERED_MAX = 8

Span = tuple[int, int]  # start, length
Spec = tuple[int | None, int | None]


def _number(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)
    return int(text[:40])


def parse(value: str) -> list[Spec] | None:
    """First and last byte of every range as written, None when the header is no byte range."""
    unit, equals, rest = value.replace(" ", "").partition("=")
    if not equals or unit.lower() != "bytes":
        return None
    specs: list[Spec] = []
    try:
        for item in rest.split(","):
            left, dash, right = item.partition("-")
            first, last = _number(left), _number(right)
            if not dash or (first is None and last is None):
                return None
            if first is not None and last is not None and last < first:
                return None
            specs.append((first, last))
    except ValueError:
        return None
    return specs


def satisfiable(specs: Sequence[Spec], size: int) -> list[Span]:
    """Spans of an object of `size` bytes; empty when no range can be satisfied (416)."""
    spans: list[Span] = []
    for first, last in specs:
        if first is None:
            assert last is not None
            if last:
                start = max(0, size - last)
                spans.append((start, size - start))
        elif first < size:
            end = size if last is None else min(last + 1, size)
            spans.append((first, end - first))
    return [] if _abusive(spans) else spans


def _abusive(spans: Sequence[Span]) -> bool:
    count = len(spans)
    if count < 2:
        return False
    if count > RANGES_MAX:
        return True
    overlaps = 0
    for index, (start, length) in enumerate(spans):
        for other_start, other_length in spans[index + 1 :]:
            if start < other_start + other_length and other_start < start + length:
                overlaps += 1
    if overlaps > OVERLAPS_MAX:
        return True
    ordered = all(a[0] <= b[0] for a, b in itertools.pairwise(spans))
    return not ordered and count >= UNORDERED_MAX


def content_range(span: Span, size: int) -> str:
    """Value of Content-Range."""
    start, length = span
    return f"bytes {start}-{start + length - 1}/{size}"


def part_head(boundary: str, content_type: str, span: Span, size: int) -> bytes:
    """What precedes a part of multipart/byteranges."""
    return (
        f"--{boundary}\r\nContent-Type: {content_type}\r\n"
        f"Content-Range: {content_range(span, size)}\r\n\r\n"
    ).encode()


def multipart_length(boundary: str, content_type: str, spans: Sequence[Span], size: int) -> int:
    """Bytes of a whole multipart/byteranges body."""
    heads = sum(len(part_head(boundary, content_type, span, size)) for span in spans)
    return heads + sum(length + 2 for _, length in spans) + len(boundary) + 4
