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
from typing import Any, NamedTuple

import msgspec
import xxhash

from core.errors import Corrupt, Refused
from ring.draft import convert_device, convert_policy
from ring.epoch import Epoch
from ring.policy import WIDTH_MAX
from ring.settings import PART_POWER_MAX, Settings

MAGIC = b"RSTKRING"
VERSION = 2
ALIGNMENT = 64
CHECKSUM_BYTES = 16

_HEAD = struct.Struct("<8sHBBHHQQQQ")
_ENTRY = struct.Struct("<HHIQ")  # width, zero, zero, offset


class _Head(NamedTuple):
    magic: bytes
    version: int
    part_power: int
    index_replicas: int
    table_count: int
    zero: int
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
    widths = sorted(epoch.tables)
    offset = _aligned(_HEAD.size + _ENTRY.size * len(widths) + len(description))
    entries = b""
    tables: list[bytes] = []
    for width in widths:
        table = _little_endian(epoch.tables[width])
        entries += _ENTRY.pack(width, 0, 0, offset)
        tables.append(table.ljust(_aligned(len(table)), b"\x00"))
        offset += len(tables[-1])
    head = _Head(
        magic=MAGIC,
        version=VERSION,
        part_power=epoch.settings.part_power,
        index_replicas=epoch.settings.index_replicas,
        table_count=len(widths),
        zero=0,
        number=epoch.number,
        seed=epoch.settings.seed,
        description_bytes=len(description),
        file_bytes=offset + CHECKSUM_BYTES,
    )
    front = _HEAD.pack(*head) + entries + description
    body = b"".join((front.ljust(_aligned(len(front)), b"\x00"), *tables))
    return body + xxhash.xxh3_128_digest(body)


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
    _require(head.part_power <= PART_POWER_MAX and head.zero == 0, "header fields out of range")

    start = _HEAD.size + _ENTRY.size * head.table_count
    front = _aligned(start + head.description_bytes)
    _require(front <= len(body), "the description passes the end of the file")
    description = msgspec.json.decode(
        view[start : start + head.description_bytes], type=_Description
    )
    devices = tuple(convert_device(fields) for fields in description.devices)
    return Epoch(
        head.number,
        Settings(head.part_power, head.seed, head.index_replicas, description.overload),
        devices=devices,
        policies=tuple(convert_policy(fields) for fields in description.policies),
        tables=_decode_tables(body, head, front, device_count=len(devices)),
    )


def _decode_tables(
    body: memoryview, head: _Head, front: int, *, device_count: int
) -> dict[int, memoryview]:
    """Views of the tables, by width; they follow each other from `front` to the end."""
    tables: dict[int, memoryview] = {}
    offset = front
    for index in range(head.table_count):
        entry = body[_HEAD.size + _ENTRY.size * index : _HEAD.size + _ENTRY.size * (index + 1)]
        width, zero_one, zero_two, table_offset = _ENTRY.unpack(entry)
        _require(0 < width <= WIDTH_MAX and not (zero_one or zero_two), "a table entry is broken")
        _require(width not in tables and table_offset == offset, "tables out of order")
        size = (width << head.part_power) * 2
        _require(offset + _aligned(size) <= len(body), "a table passes the end of the file")
        tables[width] = _native(body[offset : offset + size])
        _require(max(tables[width]) < device_count, "a table names a device that is not listed")
        offset += _aligned(size)
    _require(offset == len(body), "bytes after the last table")
    return tables


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _little_endian(table: memoryview) -> bytes:
    if sys.byteorder == "little":
        return table.tobytes()
    swapped = array("H", table)
    swapped.byteswap()
    return swapped.tobytes()


def _native(table: memoryview) -> memoryview:
    """The table as 16-bit numbers of this machine: a view, or a copy on a big-endian one."""
    if sys.byteorder == "little":
        return table.toreadonly().cast("H")
    swapped = array("H", table.tobytes())
    swapped.byteswap()
    return memoryview(swapped).toreadonly()


def _require(condition: bool, message: str) -> None:  # noqa: FBT001
    if not condition:
        raise _DamageError(message)
