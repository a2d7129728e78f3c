"""The ring file: one epoch as bytes, checked and ready to be mapped. Pure.

Layout in docs/formats/ring.md. Equal epochs give equal bytes. Reading verifies the checksum and
every bound before it trusts a field, raises Corrupt naming the file otherwise, and copies nothing:
the tables of the epoch are views into the buffer it was given.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
from array import array
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import msgspec
import xxhash

from core.errors import Corrupt, Refused
from ring.draft import convert_device, convert_policy
from ring.epoch import Epoch, Sources
from ring.policy import WIDTH_MAX
from ring.settings import PART_POWER_MAX, Settings

MAGIC = b"RSTKRING"
VERSION = 2
ALIGNMENT = 64
CHECKSUM_BYTES = 16

_HEAD = struct.Struct("<8sHBBHHQQQQ")
_ENTRY = struct.Struct("<HHIQ")  # width, kind, count of moved replicas, offset
_JOINT, _TURNED_BACK = 1, 2  # flags
_TABLE, _SINCE, _SOURCES = range(3)  # kinds of entries


class _Head(NamedTuple):
    magic: bytes
    version: int
    part_power: int
    index_replicas: int
    entry_count: int
    flags: int
    number: int
    seed: int
    description_bytes: int
    file_bytes: int


class _Description(msgspec.Struct, forbid_unknown_fields=True):
    overload: float | None
    policies: tuple[dict[str, Any], ...]
    devices: tuple[dict[str, Any], ...]


def encode_epoch(epoch: Epoch) -> bytes:
    """The bytes of a ring file."""
    description = msgspec.json.encode(
        {
            "overload": epoch.settings.overload,
            "policies": [dataclasses.asdict(policy) for policy in epoch.policies],
            "devices": [dataclasses.asdict(device) for device in epoch.devices],
        }
    )
    parts = _parts(epoch)
    offset = _aligned(_HEAD.size + _ENTRY.size * len(parts) + len(description))
    entries = b""
    tables: list[bytes] = []
    for (width, kind, count), columns in parts:
        table = b"".join(_little_endian(column) for column in columns)
        entries += _ENTRY.pack(width, kind, count, offset)
        tables.append(table.ljust(_aligned(len(table)), b"\x00"))
        offset += len(tables[-1])
    head = _Head(
        magic=MAGIC,
        version=VERSION,
        part_power=epoch.settings.part_power,
        index_replicas=epoch.settings.index_replicas,
        entry_count=len(parts),
        flags=_JOINT * epoch.joint + _TURNED_BACK * epoch.turned_back,
        number=epoch.number,
        seed=epoch.settings.seed,
        description_bytes=len(description),
        file_bytes=offset + CHECKSUM_BYTES,
    )
    front = _HEAD.pack(*head) + entries + description
    body = b"".join((front.ljust(_aligned(len(front)), b"\x00"), *tables))
    return body + xxhash.xxh3_128_digest(body)


_Part = tuple[tuple[int, int, int], tuple[memoryview, ...]]


def _parts(epoch: Epoch) -> list[_Part]:
    """What follows the description: ((width, kind, count), columns)."""
    parts: list[_Part] = [
        ((width, _TABLE, 0), (epoch.tables[width],)) for width in sorted(epoch.tables)
    ]
    parts.append(((epoch.index_replicas, _SINCE, 0), (epoch.since,)))
    for width in sorted(epoch.sources):
        rows = epoch.sources[width]
        parts.append(((width, _SOURCES, len(rows.partitions)), tuple(rows)))
    return parts


def decode_epoch(data: bytes | memoryview, name: str) -> Epoch:
    """The epoch in a ring file; the buffer must stay valid as long as the epoch lives.

    Raises Corrupt("CorruptRing") naming the file.
    """
    view = memoryview(data).cast("B")
    try:
        return _decode(view)
    except (ValueError, TypeError, msgspec.MsgspecError, Refused) as error:
        raise Corrupt("CorruptRing", f"{name}: {error}") from error


class _DamageError(ValueError):
    """A check of this module failed; becomes Corrupt at its border."""


def _decode(view: memoryview) -> Epoch:
    _require(len(view) >= _HEAD.size + CHECKSUM_BYTES, f"only {len(view)} bytes")
    head = _Head._make(_HEAD.unpack(view[: _HEAD.size]))
    _require(head.magic == MAGIC, "not a ring file")
    _require(head.version == VERSION, f"version {head.version}; this program reads {VERSION}")
    _require(
        head.file_bytes == len(view), f"{len(view)} bytes where the header says {head.file_bytes}"
    )
    body = view[:-CHECKSUM_BYTES]
    _require(xxhash.xxh3_128_digest(body) == bytes(view[-CHECKSUM_BYTES:]), "checksum mismatch")
    _require(
        head.part_power <= PART_POWER_MAX and head.flags in {0, _JOINT, _TURNED_BACK},
        "header fields out of range",
    )

    start = _HEAD.size + _ENTRY.size * head.entry_count
    front = _aligned(start + head.description_bytes)
    _require(front <= len(body), "the description passes the end of the file")
    description = msgspec.json.decode(
        view[start : start + head.description_bytes], type=_Description
    )
    devices = tuple(convert_device(fields) for fields in description.devices)
    contents = _Contents(1 << head.part_power, len(devices))
    contents.read(body, head.entry_count, front)
    _require(contents.since is not None, "the epochs of the partitions are missing")
    return Epoch(
        head.number,
        Settings(head.part_power, head.seed, head.index_replicas, description.overload),
        devices=devices,
        policies=tuple(convert_policy(fields) for fields in description.policies),
        tables=contents.tables,
        since=contents.since,
        sources=contents.sources,
        joint=head.flags == _JOINT,
        turned_back=head.flags == _TURNED_BACK,
    )


class _Contents:
    """Views of what follows the description; the parts follow each other without a gap."""

    def __init__(self, part_count: int, device_count: int) -> None:
        self._part_count = part_count
        self._device_count = device_count
        self.tables: dict[int, memoryview] = {}
        self.since: memoryview | None = None
        self.sources: dict[int, Sources] = {}

    def read(self, body: memoryview, entry_count: int, offset: int) -> None:
        """Read all parts, from `offset` to the end."""
        for index in range(entry_count):
            entry = body[_HEAD.size + _ENTRY.size * index : _HEAD.size + _ENTRY.size * (index + 1)]
            width, kind, count, part_offset = _ENTRY.unpack(entry)
            _require(0 < width <= WIDTH_MAX and kind <= _SOURCES, "a table entry is broken")
            _require(part_offset == offset, "tables out of order")
            size = {
                _TABLE: self._part_count * width * 2,
                _SINCE: self._part_count * 4,
                _SOURCES: count * 8,
            }[kind]
            _require(kind == _SOURCES or count == 0, "a table entry is broken")
            _require(offset + _aligned(size) <= len(body), "a table passes the end of the file")
            self._take(kind, width, body[offset : offset + size])
            offset += _aligned(size)
        _require(offset == len(body), "bytes after the last table")

    def _take(self, kind: int, width: int, part: memoryview) -> None:
        if kind == _TABLE:
            _require(width not in self.tables, "tables out of order")
            self.tables[width] = _native(part, "H")
            self._check_positions(self.tables[width])
        elif kind == _SINCE:
            _require(self.since is None, "tables out of order")
            self.since = _native(part, "I")
        else:
            _require(width not in self.sources, "tables out of order")
            count = len(part) // 8
            rows = Sources(
                _native(part[: count * 4], "I"),
                _native(part[count * 4 : count * 6], "H"),
                _native(part[count * 6 :], "H"),
            )
            self._check_sources(width, rows)
            self.sources[width] = rows

    def _check_positions(self, positions: memoryview) -> None:
        _require(
            not len(positions) or max(positions) < self._device_count,
            "a table names a device that is not listed",
        )

    def _check_sources(self, width: int, rows: Sources) -> None:
        self._check_positions(rows.positions)
        partitions = rows.partitions.tolist()
        _require(
            all(one < two for one, two in pairwise(partitions))
            and (not partitions or partitions[-1] < self._part_count)
            and all(replica < width for replica in rows.replicas),
            "moved replicas out of range or out of order",
        )


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _little_endian(column: memoryview) -> bytes:
    if sys.byteorder == "little":
        return column.tobytes()
    swapped = array(column.format, column)
    swapped.byteswap()
    return swapped.tobytes()


def _native(column: memoryview, code: Literal["H", "I"]) -> memoryview:
    """The column as numbers of this machine: a view, or a copy on a big-endian one."""
    if sys.byteorder == "little":
        return column.toreadonly().cast(code)
    swapped = array(code, column.tobytes())
    swapped.byteswap()
    return memoryview(swapped).toreadonly()


def _require(condition: bool, message: str) -> None:  # noqa: FBT001
    if not condition:
        raise _DamageError(message)
