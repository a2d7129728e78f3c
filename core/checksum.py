"""xxh3-128 of the blocks of a body, so that any part of a blob can be verified alone. Pure."""

from __future__ import annotations

import xxhash

from core.limits import SUM_BLOCK_BYTES

SUM_BYTES = 16


def block_sums(data: bytes | memoryview | bytearray) -> bytes:
    """Checksums of each SUM_BLOCK_BYTES block of `data` (the last may be short), joined."""
    if len(data) <= SUM_BLOCK_BYTES:
        return xxhash.xxh3_128_digest(data) if len(data) else b""
    view = memoryview(data)
    return b"".join(
        xxhash.xxh3_128_digest(view[start : start + SUM_BLOCK_BYTES])
        for start in range(0, len(view), SUM_BLOCK_BYTES)
    )


def sums_match(data: bytes | memoryview | bytearray, sums: bytes) -> bool:
    """True when every block of `data` has its checksum."""
    return block_sums(data) == sums
