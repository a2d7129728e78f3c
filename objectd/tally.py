"""Tallies of partitions: what a device holds of each, in a few numbers and a digest.

Kept in the index, in the transaction of the records they count, so they are true whenever the index is, and
rebuilt with it. Two devices that hold the same of a partition have equal rows: comparing a million blobs
is comparing one row for each partition. A row that would count nothing is not there.
"""

from __future__ import annotations

from objectd import rows
from objectd.index import Index
from objectd.rows import BlobRow, StatsRow, Tally

_NOTHING = Tally()


def count_piece(
    index: Index, partition: int, blob_fragment: bytes, row: BlobRow, *, sign: int
) -> None:
    """Add (sign 1) or take away (-1) one piece of a blob; a bad one does not count."""
    if row.bad:
        return
    key = rows.piece_tally_key(row.policy, partition, blob_fragment[-1])
    tally = _tally(index, key)
    digest = rows.fold(tally.digest, rows.piece_digest(blob_fragment[:-1]))
    _store(index, key, Tally(tally.members + sign, tally.size + sign * row.body_bytes, digest))


def count_range(
    index: Index, partition: int, range_id: bytes, *, old: StatsRow, new: StatsRow
) -> None:
    """Replace what one range adds to its partition."""
    if old == new:
        return
    key = rows.range_tally_key(partition)
    tally = _tally(index, key)
    digest = rows.fold(
        tally.digest, rows.range_digest(range_id, old), rows.range_digest(range_id, new)
    )
    members = tally.members + (not new.empty) - (not old.empty)
    _store(index, key, Tally(members, tally.size + new.held - old.held, digest))


def _tally(index: Index, key: bytes) -> Tally:
    value = index.get(key)
    return _NOTHING if value is None else rows.unpack_tally(value)


def _store(index: Index, key: bytes, tally: Tally) -> None:
    if tally.members:
        index.put(key, rows.pack_tally(tally))
    else:
        index.delete(key)
