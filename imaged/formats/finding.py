"""What a parser asks for and what it finds. Pure.

A parser is a generator of `Need` that is sent the bytes (fewer at the end of the file) and returns a Finding. It asks
for at most READ_BYTES_MAX at a time.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import NamedTuple

READ_BYTES_MAX = 1 << 20
VIRTUAL_BYTES_MAX = 16 << 40
SECTOR = 512


class Need(NamedTuple):
    """Bytes that a parser wants to see."""

    offset: int
    length: int


class Finding(NamedTuple):
    """A format, the bytes of the disk inside (None: not known), and reasons not to let any tool open it."""

    format: str
    virtual_size: int | None = None
    problems: tuple[str, ...] = ()


Parser = Generator[Need, bytes, Finding]


def run(parser: Parser, data: bytes) -> Finding:
    """Feed a parser from memory."""
    try:
        need = next(parser)
        while True:
            need = parser.send(data[need.offset : need.offset + need.length])
    except StopIteration as done:
        finding: Finding = done.value
        return finding


def number(data: bytes, offset: int, length: int, *, little: bool = False) -> int:
    """An unsigned number of a header; 0 beyond its end."""
    return int.from_bytes(data[offset : offset + length], "little" if little else "big")


def sized(virtual_size: int, problems: list[str]) -> int | None:
    """A virtual size, or None (and a problem) when it is absurd."""
    if 0 <= virtual_size <= VIRTUAL_BYTES_MAX:
        return virtual_size
    problems.append(f"it says that it holds {virtual_size} bytes")
    return None
