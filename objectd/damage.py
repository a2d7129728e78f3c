"""What a device has found not to verify: taken out of service, kept for inspection, and told to repair.

A bad piece of a blob is marked in the index and counts as missing; its bytes are copied to the device's
quarantine, which is bounded. Those of its blocks that verify can still be read, should all other copies be
lost. A bad register is marked, too: that it was accepted is not forgotten, but what it was has to be
learned again. Nothing that does not verify is ever served.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from core.errors import Corrupt
from core.limits import MIB
from objectd import record as records
from objectd import rows, wire
from objectd.log import Scanned
from objectd.record import Place
from objectd.rows import BlobRow, RegisterRow

if TYPE_CHECKING:
    from objectd.device import Device

log = logging.getLogger("ringstack.objectd")

T = TypeVar("T")

DIRECTORY = "quarantine"
KEPT_MAX = 64  # records kept for inspection; the oldest go
KEPT_FREE_BYTES = 256 * MIB  # with less free space nothing is kept
READS_FAILED_MAX = 64  # of a device while it is open: more are not a few bad sectors
GONE = frozenset(  # what a read says when its device or file system is no more
    {errno.ENODEV, errno.ENXIO, errno.ESTALE, errno.EUCLEAN, errno.EBADMSG, errno.ESHUTDOWN}
)
TOLD_MAX = 10_000  # told to repair at once; of more the tallies tell


class Damage:
    """The damage of one device."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._tasks: set[asyncio.Task[None]] = set()
        self.pieces: dict[bytes, wire.LostPiece] = {}  # by blob and fragment
        self.registers: dict[bytes, wire.LostRegister] = {}  # by index key
        self.found = 0  # since the process started
        self.broken_segments: set[int] = set()  # whose records cannot all be told apart
        self.put_off: dict[int, tuple[int, float]] = {}  # broken segments: living bytes, until when
        self.scrubbed = 0.0  # share of the log behind the scrub in its round
        self.scrub_rounds = 0
        self.begin_scrub: Callable[[float | None], None] | None = None
        self._reads_failed = 0

    def piece(self, key: bytes, row: BlobRow) -> None:
        """A piece does not verify where `row` says it is. `key` is blob id and fragment."""
        blob, fragment = key[: wire.BLOB_ID_BYTES], key[-1]
        if row.bad or self._device.blob(blob, fragment) != row:
            return
        log.error(
            "%s: blob %s (%d) does not verify, segment %d byte %d",
            *(self._device.identity.name, blob.hex(), fragment),
            *(row.place.segment, row.place.offset),
        )
        self.found += 1
        self._device.mark_bad(key, row)
        if len(self.pieces) < TOLD_MAX:
            self.pieces[key] = wire.LostPiece(blob, fragment, row.policy, row.total)
        task = asyncio.get_running_loop().create_task(self._keep(row.place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def register(self, range_id: bytes, name: bytes, row: RegisterRow) -> None:
        """The record behind a row does not verify: from now on only its ballot counts."""
        key = rows.register_key(range_id, name)
        value = self._device.index.get(key)
        if row.damaged or value is None or rows.unpack_register(value) != row:
            return
        log.error(
            "%s: a register does not verify, segment %d byte %d",
            *(self._device.identity.name, row.place.segment, row.place.offset),
        )
        self.found += 1
        bad = row._replace(flags=row.flags | rows.DAMAGED, summary=b"", meta=b"")
        bad = bad._replace(summary_bytes=0, meta_bytes=0, inline_bytes=row.whole_bytes)
        self._device.index.put(key, rows.pack_register(bad))
        self._device.count_register(range_id, name, row, bad)
        self.tell_register(range_id, name)

    def record(self, scanned: Scanned) -> None:
        """A record of the log does not verify: what it holds is taken out of service if it counts."""
        key, place = scanned.key, scanned.place
        if scanned.header.kind == records.BLOB:
            piece = self._device.blob(key[: wire.BLOB_ID_BYTES], key[-1])
            if piece is not None and piece.place == place:
                self.piece(key, piece)
        elif scanned.header.kind == records.REGISTER:
            range_id, name = key[: wire.RANGE_BYTES], key[wire.RANGE_BYTES :]
            row = self._device.register(range_id, name)
            if row is not None and row.place == place:
                self.register(range_id, name, row)

    def tell_register(self, range_id: bytes, name: bytes) -> None:
        """A register is marked as damaged in the index."""
        if len(self.registers) < TOLD_MAX:
            key = rows.register_key(range_id, name)
            self.registers[key] = wire.LostRegister(range_id, name)

    def piece_gone(self, key: bytes) -> None:
        """A good copy has been written, or nobody wants it any more."""
        self.pieces.pop(key, None)

    def register_replaced(self, key: bytes) -> None:
        """A good record has been written."""
        self.registers.pop(key, None)

    def read_failed(self, error: OSError) -> bool:
        """A read ended in an error: True for a bad place on a disk that works.

        When there are too many of them, or the disk is not there any more, the device has failed.
        """
        if error.errno == errno.EIO:
            self._reads_failed += 1
            if self._reads_failed <= READS_FAILED_MAX:
                return True
        elif error.errno not in GONE:
            return False  # out of memory or the like: nothing is known of the disk
        if self._device.log.failed is None:
            self._device.log.failed = error
        return False

    def told(self, limit: int) -> wire.Damages:
        """Damage that has not been replaced; what was told longest ago comes first."""
        return wire.Damages(_rotated(self.pieces, limit), _rotated(self.registers, limit))

    async def _keep(self, place: Place) -> None:
        device, disk = self._device, self._device.disk
        if disk.free_bytes() < KEPT_FREE_BYTES:
            return
        try:
            raw = await device.log.read(place.segment, place.offset, place.length)
            await device.env.offload(lambda: self._store(place, raw))
        except (OSError, Corrupt) as error:
            log.warning("%s: no copy of it was kept: %s", device.identity.name, error)

    def _store(self, place: Place, raw: bytes) -> None:
        disk = self._device.disk
        disk.make_directory(DIRECTORY)
        kept = [name for name in disk.list_directory(DIRECTORY) if name.endswith(".record")]
        for name in kept[: max(0, len(kept) + 1 - KEPT_MAX)]:
            disk.remove(f"{DIRECTORY}/{name}")
        disk.write_file(f"{DIRECTORY}/{place.segment:08d}-{place.offset:010d}.record", raw)


def _rotated(told: dict[bytes, T], limit: int) -> list[T]:
    """The first values, which become the last ones."""
    first = list(itertools.islice(told.items(), limit))
    for key, value in first:
        del told[key]
        told[key] = value
    return [value for _, value in first]
