"""Tombstones that may go: the floor of a range, and the names it forgets.

Nothing at or below a range's floor is promised or accepted any more. Once every replica of a range has the
floor, and all of them hold the same tombstone at or below it, nothing older can come back, and each may
forget the name. The floor counts from the moment it is on its way to the disk; what was being accepted before
is in the log before it. The one thing let in below a floor is a tombstone that a majority is known to hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from core.stamp import ZERO, stage_of
from objectd import record as records
from objectd import rows, wire
from objectd.log import Scanned
from objectd.record import Place
from objectd.rows import RegisterRow

if TYPE_CHECKING:
    from objectd.device import Device

Done = Callable[[OSError | None], None]
Name = tuple[bytes, bytes]  # a name and its ballot
SCANNED_MAX = 5000  # rows looked at for one page of tombstones


class Reclaim:
    """Floors and forgotten names of one device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._coming: dict[bytes, bytes] = {}

    # -- what the log says ---------------------------------------------------------------------

    def apply_floor(self, scanned: Scanned) -> None:
        """A floor also fences: what it belongs to was promised at its stage."""
        floor = scanned.head
        stats = self._device.stats(scanned.key)
        self._device.put_stats(
            scanned.key,
            stats._replace(
                floor=max(stats.floor, floor),
                top=max(stats.top, floor),
                stage=max(stats.stage, stage_of(floor)),
            ),
        )

    def apply_forget(self, scanned: Scanned) -> None:
        """Forget each name unless what is held is newer, or came later, than what was forgotten.

        An older record of the name may still be in an older segment, so it is not enough to look for
        the tombstone itself.
        """
        range_id = scanned.key[: wire.RANGE_BYTES]
        limit = records.drop_limit(scanned.key[wire.RANGE_BYTES :]) or scanned.place
        for name, ballot in records.decode_forget_head(scanned.head).rows:
            row = self._device.register(range_id, name)
            if row is not None and row.ballot <= ballot and row.place < limit:
                self._remove(range_id, name, row)

    def _remove(self, range_id: bytes, name: bytes, row: RegisterRow) -> None:
        """Take a row out of the index, as if the name had never been heard of."""
        device = self._device
        key = rows.register_key(range_id, name)
        device.index.delete(key)
        if row.expires_s:
            device.index.delete(rows.expiry_key(row.expires_s, range_id, name))
        device.generation.replacing(row)
        device.register_count -= 1
        device.account_segment(row.place, -1)
        device.count_register(range_id, name, row, None)
        device.damage.register_replaced(key)

    # -- writing -------------------------------------------------------------------------------

    def floor(self, range_id: bytes) -> bytes:
        """The floor that counts for calls."""
        stored = self._device.stats(range_id).floor
        coming = self._coming.get(range_id)
        return stored if coming is None else max(stored, coming)

    def write_floor(self, range_id: bytes, floor: bytes, done: Done) -> None:
        """Make a floor durable; it counts at once."""
        self._coming[range_id] = max(floor, self._coming.get(range_id, ZERO))

        def written(error: OSError | None) -> None:
            if self._coming.get(range_id) == floor:
                del self._coming[range_id]
            done(error)

        self._device.write(records.FLOOR, range_id, floor, (), written)

    def write_forget(
        self,
        range_id: bytes,
        names: Sequence[Name],
        done: Done,
        *,
        limit: Place | None = None,
    ) -> None:
        """Forget names of a range held at these ballots or older, where they lie before `limit`.

        The limit is the new record itself, but for one that compaction writes again.
        """
        head = records.encode_head(records.ForgetHead(list(names)))
        key = range_id + (b"" if limit is None else records.encode_drop_limit(limit))
        self._device.write(records.FORGET, key, head, (), done)

    # -- calls ---------------------------------------------------------------------------------

    def reclaimable(self, range_id: bytes, names: Sequence[Name]) -> list[Name]:
        """Those of the names that may be forgotten here: tombstones at just that ballot, below the floor."""
        floor = self._device.stats(range_id).floor
        held = self.holds(range_id, names)
        return [name for name, mine in zip(names, held, strict=True) if mine and name[1] <= floor]

    def holds(self, range_id: bytes, names: Sequence[Name]) -> list[bool]:
        """Which of the names are held as tombstones at just that ballot."""
        found = []
        for name, ballot in names:
            row = self._device.register(range_id, name)
            gone = row is not None and row.ballot == ballot and row.flags & wire.GONE
            found.append(bool(gone))
        return found

    def tombstones(self, message: wire.TombstonesCall) -> wire.Tombstones:
        """A page of tombstones; `after` is a key, so that pages follow each other whatever changes."""
        base = rows.REGISTER_TABLE + message.range_id
        start = base + message.after + (b"\0" if message.after else b"")
        found: list[Name] = []
        last = b""
        scan = self._device.index.scan(start, base + b"\xff" * 24)
        for looked, (key, value) in enumerate(scan):
            if looked == SCANNED_MAX:
                return wire.Tombstones(found, last)
            last = key[len(base) :]
            if rows.peek_flags(value) & wire.GONE and rows.peek_ballot(value) <= message.upto:
                found.append((rows.peek_name(value) or last, rows.peek_ballot(value)))
        return wire.Tombstones(found, b"")
