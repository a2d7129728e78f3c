"""One device: a log, the index derived from it, and the acceptor of its registers.

`apply` is the single place where a record changes the index; it is used alike by live writes (after
their group commit), by recovery (the log's tail after the last index commit) and by a rebuild (the whole
log). It is idempotent and, for registers, independent of order: the highest ballot wins. On a full disk the
index stays uncommitted until there is room again; the log has everything.
"""

from __future__ import annotations

import errno
import logging
import struct
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec
import xxhash

from core import limits
from core.env import Buffer, Disk, Env
from core.errors import Bug, Corrupt
from objectd import record as records
from objectd import rows, tally, wire
from objectd.acceptor import Acceptor
from objectd.counted import while_counted
from objectd.damage import Damage
from objectd.generation import Generation
from objectd.hints import Hinted, hint_path, read_hint
from objectd.index import BAD_ROW, Index
from objectd.log import Log, Scanned
from objectd.rangestats import RangeStats
from objectd.reclaim import Reclaim
from objectd.record import BlobHead, Place, RegisterHead
from objectd.registerrow import apply_register
from objectd.rows import BlobRow, RegisterRow, StatsRow

log = logging.getLogger("ringstack.objectd")

IDENTITY = "device.json"
_POSITION = struct.Struct(">IQ")
POSITION_KEY = rows.META_TABLE + b"position"
CEILING_KEY = rows.META_TABLE + b"ceiling"
COUNTS_KEY = rows.META_TABLE + b"counts"
FULL_RESERVE_BYTES = 64 * limits.MIB  # kept for tombstones, fences and compaction
INDEX_ROOM_BYTES = 16 * limits.MIB  # below this the index is not committed
CHECK_ROOM_BYTES = 2 * limits.MIB  # written between two looks at the free space
COMMIT_RECORDS = 2048


class DeviceIdentity(msgspec.Struct, frozen=True):
    """Who this device is; a file at its root, checked at every start."""

    device: int
    name: str
    installation: str
    part_power: int
    seed: int


class Device:
    """The storage of one device. All methods run in the event loop and never wait for the disk."""

    register_digest = staticmethod(rows.register_digest)

    def __init__(self, env: Env, disk: Disk, index: Index, identity: DeviceIdentity) -> None:
        self.env = env
        self.disk = disk
        self.index = index
        self.identity = identity
        self.log = Log(disk)
        self._ranges = RangeStats(index, self.partition_of)
        self._segment_live: dict[int, int] = {}
        self._segments_dirty: set[int] = set()
        self._applied: tuple[int, int] | None = None
        self._uncommitted = 0
        self.blob_count = 0
        self.register_count = 0
        self._free_bytes = disk.free_bytes()
        self._written_since_check = 0
        self.recovered_records = 0
        self._stored_ceiling_us = 0
        self._recovering = False
        self._broken = False  # the index does not follow the log any more; only a restart helps
        self._dropping: Counter[bytes] = Counter()
        self._incoming: Counter[bytes] = Counter()
        self.damage = Damage(self)
        self.release: Callable[[], None] | None = None
        self.reclaim = Reclaim(self)
        self.generation = Generation(self)
        self.rebuilding = False
        self.unhinted: set[int] = set()  # sealed segments that need no hint made
        self.stuck_segments: dict[int, int] = {}  # that cannot be copied out, by their living bytes
        try:
            self._recover(cut=True)
        except Corrupt as error:
            if error.code == BAD_ROW:
                index.distrust()  # the next start makes it again
            raise
        self.acceptor = Acceptor(self._stored_ceiling_us)

    # -- recovery ------------------------------------------------------------------------------

    def _recover(self, *, cut: bool) -> None:
        """Bring the index up to the log: cut a torn tail, then replay what the index has not seen.

        Raises Corrupt when the log has lost what the index or other replicas may rely on.
        """
        self._recovering = True
        segment, offset = self._load()
        if segment > self.log.active:
            raise Corrupt(
                "LogBehindIndex", "the log is shorter than its index: is it another disk?"
            )
        if cut:
            self.log.recover_tail(offset if segment == self.log.active else 0)
        for number in self.log.segments:
            if number < segment:
                continue
            for scanned, front in self._logged(number, offset if number == segment else 0):
                self.replay(scanned, front)
        self._recovering = self.rebuilding = False
        if cut:
            self.commit_index()

    def _load(self) -> tuple[int, int]:
        """Take over what the index says of itself; returns the place up to which it is complete."""
        self._ranges.forget()
        self._segments_dirty.clear()
        self._segment_live = {
            int.from_bytes(key[1:], "big"): int.from_bytes(value, "big")
            for key, value in self.index.scan(rows.SEGMENT_TABLE, b"H")
        }
        counts = self.index.get(COUNTS_KEY)
        self.blob_count, self.register_count = (
            struct.unpack(">QQ", counts) if counts is not None else (0, 0)
        )
        ceiling_us = int.from_bytes(self.index.get(CEILING_KEY) or b"", "big")
        self._stored_ceiling_us = max(self._stored_ceiling_us, ceiling_us)
        self._uncommitted = 0
        stored = self.index.get(POSITION_KEY)
        self.rebuilding = stored is None
        self.generation.load()
        segment, offset = _POSITION.unpack(stored) if stored is not None else (0, 0)
        return segment, offset

    def _logged(self, number: int, offset: int) -> Iterator[Hinted]:
        """Records of a segment, by its hint if there is one that can be used."""
        if not offset and number != self.log.active:
            data = self.disk.read_file(hint_path(number))
            hinted = read_hint(data, number, self.log.segment_bytes(number))
            if hinted is not None:
                yield from hinted
                return
        for scanned in self.log.scan(number, offset):
            yield scanned, None

    def replay(self, scanned: Scanned, front: bytes | None = None) -> None:
        """Apply one record of the log. `front`: summary and meta of a register, if known."""
        self.recovered_records += 1
        body = front or b""
        if front is None and scanned.header.kind == records.REGISTER:
            size = scanned.header.body_bytes
            at = scanned.place.offset + scanned.place.length - size
            body = self.log.read_record(Place(scanned.place.segment, at, size))
            if not records.body_matches(scanned.header, scanned.head, body):
                log.error("%s: a register in segment %d is damaged", *self._names(scanned))
                body = b""
        self._applied = (scanned.place.segment, scanned.place.offset)
        self.apply(scanned, body)
        self._applied = None

    def _names(self, scanned: Scanned) -> tuple[str, int]:
        return self.identity.name, scanned.place.segment

    # -- the single way into the index ---------------------------------------------------------

    def apply(self, scanned: Scanned, body: bytes) -> None:
        """Make the index reflect a durable record. For registers `body` begins with summary + meta.

        A register whose body is lost (b"" where there should be one) is kept as damaged: what it holds is
        unknown, and that it was accepted must not be forgotten.
        """
        kind = scanned.header.kind
        if kind == records.REGISTER:
            apply_register(self, scanned, body)
        elif kind == records.BLOB:
            self._apply_blob(scanned)
        elif kind in {records.DROP, records.DROP_PIECES}:
            for what in records.pieces_of(kind, scanned.head):
                self._apply_drop(scanned, what)
        elif kind == records.FENCE:
            self._apply_fence(scanned)
        elif kind == records.GENERATION:
            self.generation.apply(scanned)
        elif kind == records.TOUCH:
            self.generation.apply_touch(scanned)
        elif kind == records.FLOOR:
            self.reclaim.apply_floor(scanned)
        elif kind == records.FORGET:
            self.reclaim.apply_forget(scanned)
        elif kind == records.CEILING:
            ceiling_us = int.from_bytes(scanned.head, "big")
            self._stored_ceiling_us = max(self._stored_ceiling_us, ceiling_us)
        else:
            raise Bug("UnknownRecord", f"record kind {kind}")
        self._uncommitted += 1
        if self._uncommitted % COMMIT_RECORDS == 0:
            self.commit_index()

    def count_register(
        self, range_id: bytes, name: bytes, old: RegisterRow | None, new: RegisterRow | None
    ) -> None:
        """Let the statistics of a range follow the replacement of one of its rows."""
        stats = self.stats(range_id)
        count, size = stats.live_count, stats.size_bytes
        digest = int.from_bytes(stats.digest, "big")
        for row, sign in ((old, -1), (new, 1)):
            if row is not None:
                one = self.register_digest(name, row.ballot, damaged=row.damaged)
                digest ^= int.from_bytes(one, "big")
                if row.flags & wire.LIVE:
                    count += sign
                    size += sign * row.size
        self._ranges.put(
            range_id,
            stats._replace(
                live_count=count,
                size_bytes=size,
                digest=digest.to_bytes(16, "big"),
                top=stats.top if new is None else max(stats.top, new.ballot),
                held=stats.held + (old is None) - (new is None),
            ),
        )

    def _apply_blob(self, scanned: Scanned) -> None:
        self.damage.piece_gone(scanned.key)
        partition = self.partition_of(scanned.key[: wire.BLOB_ID_BYTES])
        key = rows.blob_prefix(partition, scanned.key)
        value = self.index.get(key)
        if value is not None:
            old = rows.unpack_blob(value)
            if old.place == scanned.place:
                return
            self.account_segment(old.place, -1)
            tally.count_piece(self.index, partition, scanned.key, old, sign=-1)
        else:
            self.blob_count += 1
        header = scanned.header
        head = records.decode_blob_head(scanned.head)
        stamp = head.stamp if value is None else max(head.stamp, old.stamp)
        row = BlobRow(
            scanned.place,
            header.head_bytes,
            header.body_bytes,
            header.wall_us,
            head.policy,
            head.total,
            stamp=stamp,
        )
        self.index.put(key, rows.pack_blob(row))
        tally.count_piece(self.index, partition, scanned.key, row, sign=1)
        self.account_segment(scanned.place, 1)

    def mark_bad(self, key: bytes, row: BlobRow) -> None:
        """The piece behind a row does not verify: it counts as missing until it is written again."""
        partition = self.partition_of(key[: wire.BLOB_ID_BYTES])
        tally.count_piece(self.index, partition, key, row, sign=-1)
        self.index.put(rows.blob_prefix(partition, key), rows.pack_blob(row._replace(bad=True)))
        self._uncommitted += 1

    def _apply_drop(self, scanned: Scanned, what: bytes) -> None:
        """Forget a blob, or one piece of it, where it lies before the record's limit."""
        limit = records.drop_limit(scanned.key) or scanned.place
        partition = self.partition_of(what[: wire.BLOB_ID_BYTES])
        prefix = rows.blob_prefix(partition, what)
        for key, value in list(self.index.scan(prefix, prefix + b"\xff\xff")):
            row = rows.unpack_blob(value)
            if row.place < limit:
                piece = key[rows.PARTITIONED_BYTES :]
                self.account_segment(row.place, -1)
                self.index.delete(key)
                self.blob_count -= 1
                tally.count_piece(self.index, partition, piece, row, sign=-1)
                self.damage.piece_gone(piece)

    def _apply_fence(self, scanned: Scanned) -> None:
        stats = self.stats(scanned.key)
        stage = int.from_bytes(scanned.head, "big")
        self._ranges.put(scanned.key, stats._replace(stage=max(stats.stage, stage)))

    def partition_of(self, placement_key: bytes) -> int:
        """Ring partition of a blob id or range id."""
        value: int = xxhash.xxh3_64_intdigest(placement_key, self.identity.seed)
        return value >> (64 - self.identity.part_power)

    def blob_key(self, blob: bytes, fragment: int) -> bytes:
        """Key of a piece in this device's index."""
        return rows.blob_key(self.partition_of(blob), blob, fragment)

    def account_segment(self, place: Place, sign: int) -> None:
        """Count a record as living (sign 1) or dead (-1) in its segment."""
        live = self._segment_live.get(place.segment, 0) + sign * place.length
        self._segment_live[place.segment] = live
        self._segments_dirty.add(place.segment)

    @property
    def stored_ceiling_us(self) -> int:
        """The highest promise ceiling in the log."""
        return self._stored_ceiling_us

    # -- statistics ----------------------------------------------------------------------------

    def stats(self, range_id: bytes) -> StatsRow:
        """Statistics and stage of a range."""
        return self._ranges.get(range_id)

    def put_stats(self, range_id: bytes, row: StatsRow) -> None:
        """Replace the statistics of a range."""
        self._ranges.put(range_id, row)

    def ranges(self) -> list[bytes]:
        """Ids of the ranges this device knows."""
        return self._ranges.known()

    def flush_stats(self) -> None:
        """Write changed statistics to the index, so that a scan of them and their tallies is complete."""
        self._ranges.flush()

    def segment_live(self, number: int) -> int:
        """Bytes of a segment that the index still points to."""
        return self._segment_live.get(number, 0)

    def remove_segment(self, number: int) -> None:
        """Delete a sealed segment to which the index no longer points."""
        self._segment_live.pop(number, None)
        self._segments_dirty.discard(number)
        self.index.delete(rows.segment_key(number))
        self.unhinted.discard(number)
        self.disk.remove(hint_path(number))
        self.log.remove(number)

    @property
    def live_bytes(self) -> int:
        """Bytes of all living records."""
        return sum(self._segment_live.values())

    def commit_index(self) -> None:
        """Let the index catch up with the log: everything applied so far, and how far that is.

        Without room for it nothing happens: the log has it all, and a later commit will do. When a commit
        fails all the same, what the index lost is applied again from the log.
        """
        if self._recovering or self._broken or self.disk.free_bytes() < INDEX_ROOM_BYTES:
            return
        self.generation.tidy()
        self.write_accounts()
        try:
            self.index.commit()
            self._uncommitted = 0
        except OSError as error:
            log.warning("%s: the index could not be committed: %s", self.identity.name, error)
            self._recover_or_stop()

    def write_accounts(self) -> None:
        """What is kept beside the rows, as it is now."""
        self.flush_stats()
        for number in sorted(self._segments_dirty):
            live = self._segment_live[number]
            self.index.put(rows.segment_key(number), live.to_bytes(8, "big"))
        self._segments_dirty.clear()
        self.index.put(COUNTS_KEY, struct.pack(">QQ", self.blob_count, self.register_count))
        self.index.put(CEILING_KEY, self._stored_ceiling_us.to_bytes(8, "big"))
        self.index.put(POSITION_KEY, _POSITION.pack(*self._applied_position()))

    def _recover_or_stop(self) -> None:
        try:
            self._recover(cut=False)
        except Corrupt:
            log.exception("%s: the log cannot be read back", self.identity.name)
            self._stop()

    def _stop(self) -> None:
        """The index does not follow the log any more: no writes, no commits, until a restart."""
        self._broken = True
        self.log.failed = OSError(errno.EIO, "the index does not follow the log")

    def index_is_bad(self, error: Corrupt) -> None:
        """The index is not what was written: the device is opened again, with a new one made from the log."""
        if not self._broken:
            log.error("%s: %s", self.identity.name, error.message)
        self.index.distrust()
        self._stop()

    def _applied_position(self) -> tuple[int, int]:
        """Everything before this place is in the index.

        Groups are applied in the loop turn that learns of their sync, so nothing durable is unapplied but
        the record being applied right now and what follows it in its group.
        """
        return self._applied if self._applied is not None else self.log.position

    @property
    def uncommitted(self) -> int:
        """Records applied since the last index commit."""
        return self._uncommitted

    # -- writing -------------------------------------------------------------------------------

    def room_for(self, byte_count: int) -> bool:
        """False when writing this much would eat into the reserve."""
        self._written_since_check += byte_count
        if self._written_since_check > CHECK_ROOM_BYTES or not self._room:
            self._free_bytes = self.disk.free_bytes()
            self._written_since_check = byte_count
        return self._room

    @property
    def _room(self) -> bool:
        return self._free_bytes - self._written_since_check > FULL_RESERVE_BYTES

    def write(
        self,
        kind: int,
        key: bytes,
        head: bytes,
        body: tuple[Buffer, ...],
        done: Callable[[OSError | None], None],
    ) -> None:
        """Append a record, apply it once durable, then call `done`."""
        body_bytes = sum(map(len, body))
        wall_us = self.env.wall_us()
        prefix = records.encode_prefix(kind, key, head, body_bytes, wall_us)

        def appended(result: Place | OSError) -> None:
            if isinstance(result, OSError):
                done(result)
                return
            header = records.RecordHeader(kind, len(key), len(head), body_bytes, wall_us, b"")
            front = bytes(body[0]) if body and kind == records.REGISTER else b""
            done(self._apply_written(Scanned(result, header, key, head), front))

        self.log.append(prefix, body, appended)

    def _apply_written(self, scanned: Scanned, body: bytes) -> OSError | None:
        """Apply what has just become durable; the error when the index cannot follow the log.

        Then the device takes no more writes and the index is not committed again: what it holds by now is
        unknown, and a restart brings it back from the last commit.
        """
        if self._broken:
            return self.log.failed
        self._applied = (scanned.place.segment, scanned.place.offset)
        try:
            self.apply(scanned, body)
        except Corrupt as error:
            self.index_is_bad(error)
            return self.log.failed
        except Exception:
            log.exception("%s: a record could not be indexed", self.identity.name)
            self._stop()
            return self.log.failed
        finally:
            self._applied = None
        return None

    def write_again(
        self,
        scanned: Scanned,
        raw: bytes,
        body: bytes,
        done: Callable[[OSError | None], None],
    ) -> None:
        """Append a record of an old segment again, unchanged (compaction)."""

        def appended(result: Place | OSError) -> None:
            if isinstance(result, OSError):
                done(result)
            else:
                front = body if scanned.header.kind == records.REGISTER else b""
                done(self._apply_written(scanned._replace(place=result), front))

        self.log.append(raw, (), appended)

    def write_register(
        self, call: wire.Accept, body: Buffer, done: Callable[[OSError | None], None]
    ) -> None:
        """Make an accepted record durable."""
        head = records.encode_head(
            RegisterHead(
                call.ballot,
                call.flags,
                call.size,
                call.expires_s,
                call.digest,
                call.summary_bytes,
                call.meta_bytes,
            )
        )
        self.write(records.REGISTER, call.range_id + call.name, head, (body,), done)

    def write_blob(
        self, call: wire.PutBlob, body: Buffer, done: Callable[[OSError | None], None]
    ) -> None:
        """Make a blob durable."""
        stamp = max(call.stamp, self.generation.number)
        head = records.encode_head(BlobHead(call.owner, call.total, call.sums, call.policy, stamp))
        written = while_counted(self._incoming, (call.blob,), done)
        self.write(records.BLOB, call.blob + bytes((call.fragment,)), head, (body,), written)

    def write_drop(
        self,
        blobs: Sequence[bytes],
        done: Callable[[OSError | None], None],
        *,
        limit: Place | None = None,
    ) -> None:
        """Forget blobs; of each only copies before `limit` (the new record itself by default)."""
        # a drop that is only written again concerns nothing that is appended now
        written = while_counted(self._dropping, blobs, done) if limit is None else done
        key = b"" if limit is None else records.encode_drop_limit(limit)
        self.write(records.DROP, key, b"".join(blobs), (), written)

    def write_drop_pieces(
        self,
        pieces: Sequence[bytes],
        done: Callable[[OSError | None], None],
        *,
        limit: Place | None = None,
    ) -> None:
        """Forget pieces (blob id and fragment), as `write_drop` forgets blobs."""
        written = while_counted(self._dropping, pieces, done) if limit is None else done
        key = b"" if limit is None else records.encode_drop_limit(limit)
        self.write(records.DROP_PIECES, key, b"".join(pieces), (), written)

    def dropping(self, piece: bytes) -> bool:
        """A drop of this piece is on its way to the log: what is appended now would come after it."""
        return piece in self._dropping or piece[: wire.BLOB_ID_BYTES] in self._dropping

    def has_good(self, blob: bytes, fragment: int) -> bool:
        """A piece is held, and nobody has found it bad."""
        row = self.blob(blob, fragment)
        return row is not None and not row.bad

    def has_any(self, blob: bytes) -> bool:
        """Some fragment of a blob is held, or on its way to the log."""
        return blob in self._incoming or bool(self.pieces(blob))

    def incoming(self, blob: bytes) -> bool:
        """A piece of this blob is on its way to the log."""
        return blob in self._incoming

    def write_ceiling(self, ceiling_us: int, done: Callable[[OSError | None], None]) -> None:
        """Make a promise ceiling durable."""
        self.write(records.CEILING, b"", ceiling_us.to_bytes(8, "big"), (), done)

    # -- reading -------------------------------------------------------------------------------

    def register(self, range_id: bytes, name: bytes) -> RegisterRow | None:
        """Row of a register, or None when nothing is held."""
        value = self.index.get(rows.register_key(range_id, name))
        return None if value is None else rows.unpack_register(value)

    def blob(self, blob: bytes, fragment: int) -> BlobRow | None:
        """Row of a blob, or None."""
        value = self.index.get(self.blob_key(blob, fragment))
        return None if value is None else rows.unpack_blob(value)

    def pieces(self, blob: bytes) -> list[tuple[bytes, BlobRow]]:
        """Index keys and rows of all fragments held of a blob."""
        prefix = rows.blob_prefix(self.partition_of(blob), blob)
        found = self.index.scan(prefix, prefix + b"\xff\xff")
        return [(key, rows.unpack_blob(value)) for key, value in found]

    def status(self) -> wire.DeviceStatus:
        """The device in numbers."""
        self._free_bytes = self.disk.free_bytes()
        self._written_since_check = 0
        return wire.DeviceStatus(
            self.identity.device,
            self.identity.name,
            self._free_bytes,
            sum(map(self.log.segment_bytes, self.log.segments)),
            self.live_bytes,
            self.blob_count,
            self.register_count,
            len(self.log.segments),
            self.log.failed is None,
            damaged=len(self.damage.pieces) + len(self.damage.registers),
            scrubbed=self.damage.scrubbed,
            scrub_rounds=self.damage.scrub_rounds,
        )

    def close(self, *, clean: bool) -> None:
        """Commit the index and close everything, the device's lock last."""
        self.commit_index()
        self.index.close(clean=clean and not self._broken)
        self.log.close()
        if self.release is not None:
            self.release()
