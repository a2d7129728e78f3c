"""Pages of a range: a scan of the index with prefix, delimiter, markers, direction and limit. Pure.

Cost is proportional to the rows returned, not to the names skipped: after a common prefix the scan
seeks past everything that begins with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import xxhash

from objectd import rows, wire
from objectd.index import Index

TOP = b"\xff" * 8  # above every UTF-8 name and every cut key that can follow


def list_page(index: Index, call: wire.ListCall) -> wire.Page[msgspec.Raw]:
    """Answer a ListCall. With `digest_only`, `rows` is empty but counted in `digest`."""
    result: list[wire.Row[msgspec.Raw]] = []
    state = xxhash.xxh3_128()
    truncated = False
    count = 0
    for name, value, witness in _names(index, call):
        if count >= call.limit:
            truncated = True
            break
        count += 1
        ballot = rows.peek_ballot(value)
        if call.digest_only:
            state.update(name + ballot + witness)
            continue
        summary = msgspec.Raw(b"\xc0" if witness else rows.peek_summary(value) or b"\xc0")
        result.append(
            wire.Row(name.decode(), ballot, rows.peek_flags(value), summary, witness.decode())
        )
        state.update(name + ballot + witness)
    state.update(b"+" if truncated else b".")
    return wire.Page(result, truncated, state.digest())


def _names(index: Index, call: wire.ListCall) -> Iterator[tuple[bytes, bytes, bytes]]:
    """(name, packed row, witness) in order; witness is set for a common prefix."""
    prefix, delimiter = call.prefix, call.delimiter
    low, high = _bounds(call)
    base = rows.REGISTER_TABLE + call.range_id
    while True:
        jumped = False
        for name, value in _ordered(index, base, low, high, reverse=call.reverse):
            if not (call.dead or rows.peek_flags(value) & wire.LIVE):
                continue
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                yield name, value, b""
                continue
            common = name[: cut + len(delimiter)]
            if not _outside(call, common):
                yield common, value, name
            if call.reverse:
                high = common
            else:
                low = _after_prefix(common)
            jumped = True
            break
        if not jumped:
            return


def _bounds(call: wire.ListCall) -> tuple[bytes, bytes]:
    """Names to visit: low <= name < high (high b"" = no bound)."""
    low, high = call.prefix, _after_prefix(call.prefix) if call.prefix else b""
    after, before = call.marker, call.end_marker
    if call.reverse:
        after, before = before, after
    if after and after + b"\0" > low:
        low = after + b"\0"
    if before and (not high or before < high):
        high = before
    return low, high


def _outside(call: wire.ListCall, common: bytes) -> bool:
    """True when a common prefix itself does not lie between the markers."""
    after, before = call.marker, call.end_marker
    if call.reverse:
        after, before = before, after
    return bool((after and common <= after) or (before and common >= before))


def _after_prefix(prefix: bytes) -> bytes:
    """Smallest byte string above everything that begins with `prefix` (b"" when there is none)."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        return b""
    return stripped[:-1] + bytes((stripped[-1] + 1,))


def _ordered(
    index: Index, base: bytes, low: bytes, high: bytes, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    """(full name, value) with low <= name < high, in order, cut names included in their right place."""
    skip = len(base)
    cut_at = rows.NAME_CUT_BYTES
    start = base + low[:cut_at]
    end = base + (high[:cut_at] + TOP * 3 if len(high) > cut_at else high or TOP)
    group: list[tuple[bytes, bytes]] = []
    stem = b""
    for key, value in index.scan(start, end, reverse=reverse):
        name = key[skip:]
        if len(name) <= cut_at:
            # a name of exactly the cut's length precedes the long ones that continue it
            if not group:
                if name >= low and (not high or name < high):
                    yield name, value
                continue
            if name == stem and reverse:
                group.append((name, value))
                continue
            yield from _flush(group, low, high, reverse=reverse)
            group = []
            if name >= low and (not high or name < high):
                yield name, value
            continue
        if group and name[:cut_at] != stem:
            yield from _flush(group, low, high, reverse=reverse)
            group = []
        stem = name[:cut_at]
        group.append((rows.peek_name(value), value))
    yield from _flush(group, low, high, reverse=reverse)


def _flush(
    group: list[tuple[bytes, bytes]], low: bytes, high: bytes, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    for name, value in sorted(group, reverse=reverse):
        if name >= low and (not high or name < high):
            yield name, value
