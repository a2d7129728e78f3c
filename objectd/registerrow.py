"""The one way of a register's record into the index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from objectd import record as records
from objectd import rows, wire
from objectd.log import Scanned
from objectd.rows import RegisterRow

if TYPE_CHECKING:
    from objectd.device import Device


def apply_register(device: Device, scanned: Scanned, body: bytes) -> None:
    """Let a register's row follow a record: the highest ballot wins, in whatever order they come."""
    head = records.decode_register_head(scanned.head)
    range_id, name = scanned.key[: wire.RANGE_BYTES], scanned.key[wire.RANGE_BYTES :]
    key = rows.register_key(range_id, name)
    value = device.index.get(key)
    old = None if value is None else rows.unpack_register(value)
    if old is not None:
        if old.ballot > head.ballot or (old.ballot == head.ballot and old.place == scanned.place):
            return
        if old.ballot == head.ballot and not body and scanned.header.body_bytes:
            return  # a damaged copy never replaces a good one
        device.account_segment(old.place, -1)
        if old.ballot < head.ballot:
            device.generation.replacing(old)
        if old.expires_s:
            device.index.delete(rows.expiry_key(old.expires_s, range_id, name))
    else:
        device.register_count += 1
    end = head.summary_bytes + head.meta_bytes
    damaged = scanned.header.body_bytes > 0 and not body
    keep_meta = head.meta_bytes <= rows.META_IN_ROW_BYTES_MAX
    row = RegisterRow(
        head.ballot,
        head.flags | (rows.DAMAGED if damaged else 0),
        head.size,
        head.expires_s,
        head.digest,
        scanned.place,
        0 if damaged else head.summary_bytes,
        0 if damaged else head.meta_bytes,
        scanned.header.body_bytes - (0 if damaged else end),
        name if len(name) > rows.NAME_CUT_BYTES else b"",
        body[: head.summary_bytes],
        body[head.summary_bytes : end] if keep_meta else b"",
    )
    device.index.put(key, rows.pack_register(row))
    if head.expires_s and head.flags & wire.LIVE:
        device.index.put(rows.expiry_key(head.expires_s, range_id, name), b"")
    device.account_segment(scanned.place, 1)
    device.count_register(range_id, name, old, row)
    if damaged:
        device.damage.tell_register(range_id, name)
    else:
        device.damage.register_replaced(key)
