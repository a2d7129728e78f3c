"""The append-only log of a device: segments, group commit, scan.

Promises: `append`'s callback runs only after the record is on stable storage (one fdatasync for all
that waited together); a failed write answers every record of its group with the error and leaves
nothing behind that recovery could take for a record that was acknowledged; records never move, only
whole sealed segments go. The log is the truth; everything else can be rebuilt from `scan`. Each group
begins with a mark, so that recovery can tell the last one, which may be torn, from those that were synced.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from core import limits
from core.env import Buffer, Disk, File
from core.errors import Corrupt
from objectd import record as records
from objectd.record import HEADER_BYTES, Place, RecordHeader

log = logging.getLogger("ringstack.objectd")

DIRECTORY = "log"
SCAN_BYTES = 1024 * 1024
SCAN_SPARSE_BYTES = 16 * 1024  # read at a time where records are larger than what a scan looks at
TORN_BYTES_MAX = limits.GROUP_BYTES_MAX + limits.FRAME_BYTES_MAX  # no unacknowledged tail is longer
GROUP_MARK = records.encode_prefix(records.GROUP, b"", b"", 0, 0)
GROUP_MARK_BYTES = len(GROUP_MARK)


Done = Callable[[Place | OSError], None]


class _Waiting(NamedTuple):
    buffers: tuple[Buffer, ...]
    length: int
    done: Done


class Scanned(NamedTuple):
    """One record met by a scan. `intact` is False when its body was looked at and does not verify."""

    place: Place
    header: RecordHeader
    key: bytes
    head: bytes
    intact: bool = True


def segment_path(number: int) -> str:
    """Path of a segment below the device's directory."""
    return f"{DIRECTORY}/{number:08d}.seg"


class Log:
    """Segments of one device, the last of which is being written."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._files: dict[int, File] = {}
        self._waiting: deque[_Waiting] = deque()
        self._task: asyncio.Task[None] | None = None
        self._roll = False
        self.failed: OSError | None = None
        disk.make_directory(DIRECTORY)
        for name in disk.list_directory(DIRECTORY):
            if name.endswith(".seg"):
                self._files[int(name[:-4])] = disk.open_append(f"{DIRECTORY}/{name}")
        if not self._files:
            self._open(1)
        self.active = max(self._files)

    # -- writing -------------------------------------------------------------------------------

    def append(self, prefix: bytes, body: tuple[Buffer, ...], done: Done) -> None:
        """Queue a record; `done` gets its place once durable, or the error."""
        if self.failed is not None:
            done(self.failed)
            return
        length = len(prefix) + sum(map(len, body))
        self._waiting.append(_Waiting((prefix, *body), length, done))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._commit_groups())

    async def _commit_groups(self) -> None:
        """Write groups until nothing waits; what arrives meanwhile forms the next group."""
        try:
            while self._waiting:
                # a turn of the loop lets everything that has already come join the group: a sync costs
                # far more than a turn (a sixth less CPU for each small PUT)
                await asyncio.sleep(0)
                await self._commit(self._take_group())
        finally:
            self._task = None

    def _take_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        total = 0
        while self._waiting and len(group) < limits.GROUP_RECORDS_MAX:
            total += self._waiting[0].length
            if group and total > limits.GROUP_BYTES_MAX:
                break
            group.append(self._waiting.popleft())
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        file = self._files[self.active]
        offset = file.size
        try:
            if offset >= limits.SEGMENT_BYTES or self._roll:
                file, offset = self._open(self.active + 1), 0
            parts = [part for waiting in group for part in waiting.buffers]
            await file.append_synced([GROUP_MARK, *parts])
        except OSError as error:
            self._refuse(file, offset, group, error)
            return
        segment = self.active
        offset += GROUP_MARK_BYTES
        for waiting in group:
            waiting.done(Place(segment, offset, waiting.length))
            offset += waiting.length

    def _refuse(self, file: File, offset: int, group: list[_Waiting], error: OSError) -> None:
        """Take a failed group back. After anything but a full disk the device takes no more writes.

        A failed sync may have lost pages that later syncs would not report, so it is never retried.
        """
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            try:
                file.truncate(offset)
            except OSError as second:
                self.failed = second
        else:
            self.failed = error
        for waiting in group:
            waiting.done(error)
        if self.failed is not None:
            while self._waiting:
                self._waiting.popleft().done(self.failed)

    def _open(self, number: int) -> File:
        self._files[number] = self._disk.open_append(segment_path(number))
        self.active = number
        self._roll = False
        return self._files[number]

    def roll(self) -> None:
        """Let the next group begin a new segment, so that this one can be compacted."""
        self._roll = self._files[self.active].size > 0

    async def idle(self) -> None:
        """Wait until everything queued has been written or refused."""
        while self._task is not None:
            await asyncio.shield(self._task)

    # -- reading -------------------------------------------------------------------------------

    def read_cached(self, segment: int, offset: int, length: int) -> bytes | None:
        """Bytes of a segment if they are in memory. Raises Corrupt when the segment is gone."""
        return self._file(segment).read_cached(offset, length)

    async def read(self, segment: int, offset: int, length: int) -> bytes:
        """Bytes of a segment. Raises Corrupt when the segment is gone."""
        return await self._file(segment).read(offset, length)

    def _file(self, segment: int) -> File:
        file = self._files.get(segment)
        if file is None:
            raise Corrupt("NoSegment", f"segment {segment} is missing")
        return file

    @property
    def position(self) -> tuple[int, int]:
        """Segment and offset of the next record."""
        return self.active, self._files[self.active].size

    @property
    def segments(self) -> list[int]:
        """Numbers of all segments, oldest first."""
        return sorted(self._files)

    def segment_bytes(self, number: int) -> int:
        """Length of a segment."""
        return self._files[number].size

    def remove(self, number: int) -> None:
        """Delete a sealed segment whose living records have been written again."""
        assert number != self.active, "the active segment cannot be removed"
        self._files.pop(number).close()
        self._disk.remove(segment_path(number))

    # -- recovery ------------------------------------------------------------------------------

    def recover_tail(self, offset: int = 0) -> None:
        """Cut the active segment where its last group is torn, and make the rest of it durable.

        A process that was killed may leave whole records that were never synced: they may not be shown
        before they are.
        Only the last, unacknowledged group can be torn: the next one is written after the one before it
        was synced. Bodies are verified too, since a header may be whole and its body not. What is bad
        before the last group's mark was whole once and stays. Raises Corrupt when more is unreadable than
        one group can be, or when bytes are missing.
        """
        file = self._files[self.active]
        if offset > file.size:
            raise Corrupt(
                "LogBehindIndex", "the log is shorter than its index: is it another disk?"
            )
        end = offset
        torn: int | None = None  # where the group met last is
        try:
            for met in self._walk(self.active, offset, verify_bodies=True):
                if met.header.kind == records.GROUP:
                    torn = None
                elif not met.intact and torn is None:
                    torn = met.place.offset
                end = met.place.offset + met.place.length
        except Corrupt:
            if file.size - end > TORN_BYTES_MAX:
                raise
        end = end if torn is None else torn
        if end < file.size:
            log.info("cutting %d torn bytes off segment %d", file.size - end, self.active)
        if offset < file.size:
            file.truncate(end)

    def scan(self, segment: int, offset: int = 0) -> Iterator[Scanned]:
        """Records of a segment in order. Raises Corrupt at a place that is no whole record."""
        for met in self._walk(segment, offset):
            if met.header.kind != records.GROUP:
                yield met

    def walk_verified(self, segment: int, offset: int = 0) -> Iterator[Scanned]:
        """Records and marks of groups in order, bodies verified. Raises Corrupt as `scan`."""
        return self._walk(segment, offset, verify_bodies=True)

    def _walk(self, segment: int, offset: int, *, verify_bodies: bool = False) -> Iterator[Scanned]:
        """Records and marks of groups, in order.

        Raises Corrupt at a place that is neither. A blob whose key or head has gone bad is passed
        over when a record follows right behind it; any other record may hold what must not be forgotten.
        """
        file = self._file(segment)
        window = b""
        window_start = offset
        read_bytes = SCAN_BYTES
        while offset < file.size:
            relative = offset - window_start
            if len(window) - relative < HEADER_BYTES + 4096:
                window, window_start, relative = file.read_now(offset, read_bytes), offset, 0
            try:
                header = records.decode_header(window[relative : relative + HEADER_BYTES])
                if offset + header.total > file.size:
                    raise Corrupt("TornRecord", "the log ends inside a record")
                need = HEADER_BYTES + header.key_bytes + header.head_bytes
                if len(window) - relative < need:
                    window, window_start, relative = file.read_now(offset, need), offset, 0
                key, head = records.check_prefix(window[relative : relative + need], header)
            except Corrupt as error:
                offset = self._after_bad_blob(file, segment, offset, error)
                continue
            intact = True
            if verify_bodies and header.body_bytes:
                body = file.read_now(offset + need, header.body_bytes)
                intact = records.body_matches(header, head, body)
            yield Scanned(Place(segment, offset, header.total), header, key, head, intact)
            offset += header.total
            if header.total > GROUP_MARK_BYTES:
                read_bytes = SCAN_BYTES if header.total < SCAN_BYTES // 4 else SCAN_SPARSE_BYTES

    @staticmethod
    def _after_bad_blob(file: File, segment: int, offset: int, error: Corrupt) -> int:
        """Where the record behind a damaged blob begins. Raises Corrupt when nothing certain does.

        Bytes of bodies are never searched for records: a client may have put some there.
        """
        where = f"segment {segment} is damaged at byte {offset}"
        try:
            header = records.decode_header(file.read_now(offset, HEADER_BYTES))
            following = offset + header.total
            if (header.kind, header.key_bytes) == (records.BLOB, records.PIECE_BYTES):
                behind = file.read_now(following, HEADER_BYTES)
                next_header = records.decode_header(behind)
                need = HEADER_BYTES + next_header.key_bytes + next_header.head_bytes
                records.check_prefix(file.read_now(following, need), next_header)
                log.error("%s: a blob is lost here", where)
                return following
        except Corrupt:
            pass
        raise Corrupt("DamagedLog", f"{where}: {error.message}")

    def read_record(self, place: Place) -> bytes:
        """A whole record, blocking: for compaction of a sealed segment."""
        return self._file(place.segment).read_now(place.offset, place.length)

    def close(self) -> None:
        """Close every file."""
        for file in self._files.values():
            file.close()
