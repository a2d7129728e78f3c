"""The keys of the mixed load: their names, sizes and bytes all follow from their number. Pure.

So any client can check what it reads without remembering who wrote it. Sizes are mixed as they are in
most stores: many small objects, few large ones, most bytes in the large ones.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

from bench.figure import KIB, MIB

KEY_COUNT = 1000
SMALL, MIDDLE, LARGE = 4 * KIB, 64 * KIB, MIB
SMALL_PERCENT, MIDDLE_PERCENT = 70, 25
VARIANTS = 8


def key_name(number: int) -> str:
    """Name of a key."""
    return f"key-{number:06}"


def key_size(number: int) -> int:
    """Bytes of a key's object: spread over the keys so that popular ones are of every size."""
    draw = hashlib.blake2b(number.to_bytes(4, "big"), digest_size=4).digest()
    percent = int.from_bytes(draw, "big") % 100
    if percent < SMALL_PERCENT:
        return SMALL
    return MIDDLE if percent < SMALL_PERCENT + MIDDLE_PERCENT else LARGE


def key_body(number: int) -> bytes:
    """The object of a key."""
    return _body(key_size(number), number % VARIANTS)


@lru_cache(maxsize=3 * VARIANTS)
def _body(size: int, variant: int) -> bytes:
    return hashlib.shake_128(f"{size} {variant}".encode()).digest(size)
