"""The generation of a device: which passes of the orphan sweep it has heard of, and what it held when.

A pass begins by raising the generation of every device. From that moment (it counts once the record that says
so is on its way) a record that names blobs is stored only if what it was built on was read in this generation,
and the blobs it names anew were written or touched in this one or the one before. So whatever can ever name a blob
that is older than that was held by some device when its generation rose. Until the pass has ended, records that are
replaced are kept in a table of their own: the rows and this table together are at least what was held then. A
device whose index had to be built again has lost that table, and says so.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from objectd import record as records
from objectd import rows, wire
from objectd.log import Scanned
from objectd.rows import RegisterRow

if TYPE_CHECKING:
    from objectd.device import Device

Done = Callable[[OSError | None], None]
STATE_KEY = rows.META_TABLE + b"generation"
_STATE = struct.Struct(">IQQ?")
REPLACED_MAX = 200_000  # records kept for one pass; with more it cannot be finished
TIDIED_MAX = 5_000  # rows of old passes removed with one commit


class Named(NamedTuple):
    """A key without its table, and the row there if it names blobs."""

    key: bytes
    row: RegisterRow | None


class Generation:
    """The generation of one device. `number` is what its index says, `coming` may be ahead of it."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._touching: Counter[bytes] = Counter()
        self.number = 0
        self.coming = 0
        self.begun_us = 0
        self.whole = False  # the table of replaced records has been kept since the generation rose
        self._replaced = 0
        self.kept_segments: set[int] = set()  # with records of that table which are only in the log

    def load(self) -> None:
        """Take over what the index says."""
        value = self._device.index.get(STATE_KEY)
        state = (0, 0, 0, False) if value is None else _STATE.unpack(value)
        self.number, self.begun_us, self._replaced, self.whole = state
        self.coming = max(self.coming, self.number)
        self.kept_segments.clear()
        if self.whole:
            for _, row in self.replaced(b""):
                assert row is not None
                self._keep(row)

    # -- what the log says ---------------------------------------------------------------------

    def apply(self, scanned: Scanned) -> None:
        """The generation rose. `rebuilding`: what was held then can no longer be told."""
        number = int.from_bytes(scanned.head, "big")
        if number <= self.number:
            return
        self.number, self.begun_us = number, scanned.header.wall_us
        self.coming = max(self.coming, number)
        self.whole = not self._device.rebuilding
        self._replaced = 0
        self.kept_segments.clear()
        self._store()

    def apply_touch(self, scanned: Scanned) -> None:
        """Pieces are as good as written in a later generation."""
        stamp = int.from_bytes(scanned.key, "big")
        device = self._device
        for blob in records.pieces_of(records.DROP, scanned.head):
            for key, row in device.pieces(blob):
                if row.stamp < stamp:
                    device.index.put(key, rows.pack_blob(row._replace(stamp=stamp)))

    def replacing(self, old: RegisterRow) -> None:
        """A record gives way to a newer one or is forgotten: keep it for the pass, if it names blobs."""
        if not (self.whole and old.flags & wire.NAMES):
            return
        if self._replaced == REPLACED_MAX:
            self.end(self.number)
            return
        key = _replaced_key(self.number, self._replaced)
        self._device.index.put(key, rows.pack_register(old))
        self._replaced += 1
        self._keep(old)
        self._store()

    def _keep(self, row: RegisterRow) -> None:
        if not row.meta and row.meta_bytes:
            self.kept_segments.add(row.place.segment)

    def _store(self) -> None:
        state = _STATE.pack(self.number, self.begun_us, self._replaced, self.whole)
        self._device.index.put(STATE_KEY, state)

    # -- passes --------------------------------------------------------------------------------

    def raise_to(self, number: int, done: Done) -> None:
        """Make a higher generation durable; it counts at once."""
        self.coming = max(self.coming, number)
        self._device.write(records.GENERATION, b"", number.to_bytes(4, "big"), (), done)

    def end(self, number: int) -> None:
        """The pass of this generation is over, finished or not."""
        if number == self.number and self.whole:
            self.whole = False
            self.kept_segments.clear()
            self._store()

    def tidy(self) -> None:
        """Remove some rows of passes that are over."""
        end = _replaced_key(self.number, 0) if self.whole else rows.after_table(rows.REPLACED_TABLE)
        index = self._device.index
        old = []
        for key, _ in index.scan(rows.REPLACED_TABLE, end):
            old.append(key)
            if len(old) == TIDIED_MAX:
                break
        for key in old:
            index.delete(key)

    def held(self, after: bytes) -> Iterator[Named]:
        """Registers in the order of their keys, behind one."""
        start = rows.REGISTER_TABLE + after + (b"\0" if after else b"")
        for key, value in self._device.index.scan(start, rows.after_table(rows.REGISTER_TABLE)):
            names = rows.peek_flags(value) & wire.NAMES
            yield Named(key[1:], rows.unpack_register(value) if names else None)

    def replaced(self, after: bytes) -> Iterator[Named]:
        """Records that were replaced since the generation rose, behind one."""
        first = _replaced_key(self.number, 0)
        start = rows.REPLACED_TABLE + after + b"\0" if after else first
        for key, value in self._device.index.scan(start, _replaced_key(self.number + 1, 0)):
            yield Named(key[1:], rows.unpack_register(value))

    # -- stamps --------------------------------------------------------------------------------

    def refusal(self, call: wire.Accept) -> int | None:
        """Status that refuses a record which names blobs, or None.

        REFUSED: look again, what it was built on was read before the generation rose. LATE: its blobs
        may have been swept.
        """
        if not call.flags & wire.NAMES or not self.coming:
            return None
        if call.basis < self.coming:
            return wire.REFUSED
        return wire.LATE if call.stamp < self.coming - 1 else None

    def touch(self, blobs: Sequence[bytes], stamps: list[int | None], done: Done) -> None:
        """Stamp blobs with the current generation, durably.

        `stamps` gets one of each, None of what is not held, before `done` is called.
        """
        device, old = self._device, []
        for blob in blobs:
            pieces = [
                row
                for key, row in device.pieces(blob)
                if not device.dropping(key[rows.PARTITIONED_BYTES :])
            ]
            stamps.append(self.number if pieces else None)
            if any(row.stamp < self.number for row in pieces):
                old.append(blob)
        if not old:
            done(None)
            return
        self._touching.update(old)

        def written(error: OSError | None) -> None:
            self._touching.subtract(old)
            self._touching += Counter()
            done(error)

        stamp = self.number.to_bytes(4, "big")
        device.write(records.TOUCH, stamp, b"".join(old), (), written)

    def stamp_of(self, blob: bytes, row: rows.BlobRow) -> int:
        """The stamp that a copy of a piece must carry: that of its row, or one that is on its way."""
        return self.number if blob in self._touching else row.stamp

    def droppable(self, blobs: Sequence[bytes], below: int) -> list[bytes]:
        """Those of which every piece here was stamped before generation `below`, and none is on its way."""
        device = self._device
        return [
            blob
            for blob in blobs
            if blob not in self._touching
            and not device.incoming(blob)
            and all(row.stamp < below for _, row in device.pieces(blob))
        ]


def _replaced_key(generation: int, number: int) -> bytes:
    return rows.REPLACED_TABLE + generation.to_bytes(4, "big") + number.to_bytes(8, "big")
