"""Log entries: data blocks, then a footer that says what they are. Pure.

Body = blocks, footer, trailer. The trailer (length and checksum of the footer) ends the object, so that the tail of an
object is enough for recovery. Kinds: DATA (runs that were written or zeroed), MOVE (runs that the collector copied: each
counts only where the map still names its source), END (the log goes on under another branch).
All numbers are little-endian; docs/volumes-engine.md has the layout.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import xxhash

from core.errors import Corrupt
from volume.place import DATA_BLOCKS_MAX, HOLE
from volume.port import BLOCK_BYTES, SIZE_MAX

DATA, MOVE, END = 1, 2, 3
MAGIC = b"RSVE"
VERSION = 1
BRANCH_BYTES = 16  # hexadecimal digits
RUNS_MAX = 2048
BLOCKS_MAX = SIZE_MAX // BLOCK_BYTES
SEQUENCE_MAX = (1 << 48) - 1

_HEAD = struct.Struct("<4sBBHQQQII16s")
_RUN = struct.Struct("<QII")
_MOVE = struct.Struct("<QIIQQ")
_TRAILER = struct.Struct("<IQ")
FOOTER_BYTES_MAX = _HEAD.size + RUNS_MAX * _MOVE.size + BRANCH_BYTES + _TRAILER.size


class Written(NamedTuple):
    """A run of an entry. `offset`: its first block in the entry's data, or HOLE.

    Of a MOVE also the place it was copied from, and the number of the entry that a client once wrote.
    """

    block: int
    length: int
    offset: int
    source: int = 0
    origin: int = 0


class Entry(NamedTuple):
    """What a footer says. `size`: of the volume, in bytes; `blocks`: of data in front of the footer."""

    kind: int
    branch: str
    sequence: int
    time_us: int
    size: int
    blocks: int = 0
    runs: Sequence[Written] = ()
    successor: str = ""


def encode_footer(entry: Entry) -> bytes:
    """Footer and trailer."""
    assert len(entry.runs) <= RUNS_MAX
    assert entry.blocks <= DATA_BLOCKS_MAX
    parts = [
        _HEAD.pack(
            MAGIC,
            entry.kind,
            VERSION,
            0,
            entry.sequence,
            entry.time_us,
            entry.size,
            entry.blocks,
            len(entry.runs),
            entry.branch.encode(),
        )
    ]
    if entry.kind == MOVE:
        parts += [_MOVE.pack(*run) for run in entry.runs]
    else:
        parts += [_RUN.pack(*run[:3]) for run in entry.runs]
    if entry.kind == END:
        parts.append(entry.successor.encode())
    footer = b"".join(parts)
    return footer + _TRAILER.pack(len(footer), xxhash.xxh3_64_intdigest(footer))


def footer_bytes(tail: bytes | memoryview) -> int:
    """How long the footer with its trailer is that ends here. Raises Corrupt."""
    if len(tail) < _TRAILER.size:
        raise _bad("is cut short")
    length, _ = _TRAILER.unpack_from(tail, len(tail) - _TRAILER.size)
    if length + _TRAILER.size > FOOTER_BYTES_MAX:
        raise _bad("has a footer that is too long")
    return int(length) + _TRAILER.size


def decode_footer(tail: bytes | memoryview) -> Entry:
    """The entry whose footer ends here. Raises Corrupt("BadEntry")."""
    whole = footer_bytes(tail)
    footer = bytes(tail[max(0, len(tail) - whole) : len(tail) - _TRAILER.size])
    length, digest = _TRAILER.unpack_from(tail, len(tail) - _TRAILER.size)
    if len(footer) != length or xxhash.xxh3_64_intdigest(footer) != digest:
        raise _bad("does not verify")
    if length < _HEAD.size:
        raise _bad("is cut short")
    fields = _HEAD.unpack_from(footer)
    magic, kind, version, _, sequence, time_us, size, blocks, count, branch = fields
    if magic != MAGIC or version != VERSION or kind not in {DATA, MOVE, END}:
        raise _bad("is of an unknown kind")
    if blocks > DATA_BLOCKS_MAX or count > RUNS_MAX or size > SIZE_MAX:
        raise _bad("is beyond its limits")
    if not 0 < sequence <= SEQUENCE_MAX:
        raise _bad("has no place in a log")
    rest = footer[_HEAD.size :]
    successor = ""
    if kind == END:
        successor, rest = _branch(rest[-BRANCH_BYTES:]), rest[:-BRANCH_BYTES]
    shape = _MOVE if kind == MOVE else _RUN
    if len(rest) != count * shape.size:
        raise _bad("has another number of runs than it says")
    runs = [Written(*fields) for fields in shape.iter_unpack(rest)]
    _check_runs(runs, blocks)
    return Entry(kind, _branch(branch), sequence, time_us, size, blocks, runs, successor)


def _check_runs(runs: Sequence[Written], blocks: int) -> None:
    for run in runs:
        if not run.length or run.block + run.length > BLOCKS_MAX:
            raise _bad("has a run outside of any volume")
        if run.offset != HOLE and run.offset + run.length > blocks:
            raise _bad("has a run outside of its data")


def _branch(raw: bytes) -> str:
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise _bad("has no branch") from None
    if len(text) != BRANCH_BYTES or not all(one in "0123456789abcdef" for one in text):
        raise _bad("has no branch")
    return text


def _bad(what: str) -> Corrupt:
    return Corrupt("BadEntry", f"a log entry {what}")
