"""Pages of a range: a scan of the index with prefix, delimiter, markers, direction and limit. Pure.

Cost is proportional to the rows returned, not to the names skipped: after a common prefix the scan
seeks past everything that begins with it. The usual page (no delimiter, no cut names) is one loop. A page
ends early (truncated) before it grows beyond a frame. Tombstones have to be passed over one by one, so a
scan through many of them can be done in steps, with other work in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from core.errors import Corrupt
from core.limits import FRAME_BYTES_MAX, MIB
from objectd import rows, wire
from objectd.index import BAD_ROW, Index
from objectd.wire import NAME_BYTES_MAX, SUMMARY_BYTES_MAX, digest_of

TOP = b"\xff" * 8  # above every UTF-8 name and every cut key that can follow
MORE, DONE = b"+", b"."
DAMAGED = b"damaged here"  # makes a page's digest unlike that of any other replica
PAGE_BYTES_MAX = 8 * MIB  # of names and summaries
ROW_BYTES = 40  # what a row costs beside them, at most
SKIPS_MAX = 5_000  # tombstones passed over in one step

assert PAGE_BYTES_MAX + 2 * NAME_BYTES_MAX + SUMMARY_BYTES_MAX + ROW_BYTES < FRAME_BYTES_MAX

NameRow = tuple[bytes, bytes, bytes]  # name, packed register row, witness of a common prefix


def list_page(index: Index, call: wire.ListCall, *, bytes_max: int = PAGE_BYTES_MAX) -> bytes:
    """The encoded `wire.Page` that answers a ListCall; with `digest_only` it has no rows."""
    pager = Pager(call, bytes_max=bytes_max)
    while True:
        page = pager.step(index)
        if page is not None:
            return page


class Pager:
    """A page in the making. The index may change between two steps, as it may between two pages.

    A row whose record is damaged here has no summary: its state must be learned elsewhere.
    """

    def __init__(self, call: wire.ListCall, *, bytes_max: int = PAGE_BYTES_MAX) -> None:
        self._call = call
        self._bytes_max = bytes_max
        self._low, self._high = _bounds(call)
        self._page: list[bytes] = []
        self._seen: list[bytes] = []
        self._size = 0

    def step(self, index: Index, skips_max: int = SKIPS_MAX) -> bytes | None:
        """The encoded page; None when so many tombstones were met that there should be a pause."""
        call, page, seen = self._call, self._page, self._seen
        digest_only, limit, bytes_max = call.digest_only, call.limit, self._bytes_max
        size = self._size
        truncated = False
        walk = _names if call.delimiter else _plain
        for name, value, witness in walk(index, call, self._low, self._high, skips_max):
            if not value:
                if not name and call.reverse:
                    continue  # nothing comes before the empty name
                self._go_on_after(name)
                self._size = size
                return None
            if len(seen) >= limit or size > bytes_max:
                truncated = True
                break
            if not rows.sound(value):
                raise Corrupt(BAD_ROW, "a row of the index does not verify")
            ballot, flags = value[:16], value[16]
            summary = b"" if witness else rows.peek_summary(value)
            size += len(name) + len(witness) + len(summary) + ROW_BYTES
            seen.append(name + ballot + witness)
            shown = flags & wire.LIVE
            if flags & rows.DAMAGED:
                seen[-1] += DAMAGED
                shown |= wire.DAMAGED
            if not digest_only:
                page.append(wire.encode_row(name, ballot, shown, summary, witness))
        seen.append(MORE if truncated else DONE)
        return wire.encode_page(page, truncated=truncated, digest=digest_of(b"".join(seen)))

    def _go_on_after(self, name: bytes) -> None:
        if self._call.reverse:
            self._high = name
        else:
            self._low = name + b"\0"


def _plain(
    index: Index, call: wire.ListCall, low: bytes, high: bytes, skips_max: int
) -> Iterable[NameRow]:
    """Every wanted name in order; an empty value where a pause is due."""
    base = rows.REGISTER_TABLE + call.range_id
    wanted = wire.LIVE
    dead = call.dead
    for name, value in _ordered(index, base, low, high, reverse=call.reverse):
        if dead or value[16] & wanted:
            yield name, value, b""
            continue
        skips_max -= 1
        if not skips_max:
            yield name, b"", b""


def _names(
    index: Index, call: wire.ListCall, low: bytes, high: bytes, skips_max: int
) -> Iterator[NameRow]:
    """Names and common prefixes in order; a prefix has a witness, the first live name under it.

    A common prefix is shown when a name under it lies beyond the marker, unless it is the marker itself:
    then the page before ended with it. An empty value stands where a pause is due.
    """
    prefix, delimiter = call.prefix, call.delimiter
    base = rows.REGISTER_TABLE + call.range_id
    while True:
        jumped = False
        for name, value in _ordered(index, base, low, high, reverse=call.reverse):
            if not (call.dead or rows.peek_flags(value) & wire.LIVE):
                skips_max -= 1
                if not skips_max:
                    yield name, b"", b""
                continue
            cut = name.find(delimiter, len(prefix))
            if cut < 0:
                yield name, value, b""
                continue
            common = name[: cut + len(delimiter)]
            if call.reverse or common != call.marker:
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
    skip, cut_at = len(base), rows.NAME_CUT_BYTES
    start = base + low[:cut_at]
    end = base + (high[:cut_at] + TOP * 3 if len(high) > cut_at else high or TOP)
    uncut_bytes = skip + cut_at
    exact = len(low) <= cut_at and len(high) <= cut_at  # then the scan's own bounds are the bounds
    group: list[tuple[bytes, bytes]] = []
    for key, value in index.scan(start, end, reverse=reverse):
        if len(key) < uncut_bytes and exact and not group:
            yield key[skip:], value
            continue
        name = rows.peek_name(value) if len(key) > uncut_bytes else key[skip:]
        # names that share the cut are in the order of their hashes: gather and sort them
        if group and group[0][0][:cut_at] != name[:cut_at]:
            yield from _in_bounds(group, low, high, reverse=reverse)
            group = []
        group.append((name, value))
    yield from _in_bounds(group, low, high, reverse=reverse)


def _in_bounds(
    group: list[tuple[bytes, bytes]], low: bytes, high: bytes, *, reverse: bool
) -> Iterator[tuple[bytes, bytes]]:
    for name, value in sorted(group, reverse=reverse):
        if name >= low and (not high or name < high):
            yield name, value
