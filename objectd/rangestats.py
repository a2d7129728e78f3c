"""Statistics of the index ranges of a device: cached, and written to the index with their tallies."""

from __future__ import annotations

from collections.abc import Callable

from objectd import rows, tally
from objectd.index import Index
from objectd.rows import StatsRow

CACHED_MAX = 50_000


class RangeStats:
    """Rows of statistics by range. What was put is in the index after the next `flush`."""

    def __init__(self, index: Index, partition_of: Callable[[bytes], int]) -> None:
        self._index = index
        self._partition_of = partition_of
        self._rows: dict[bytes, StatsRow] = {}
        self._dirty: set[bytes] = set()

    def get(self, range_id: bytes) -> StatsRow:
        """The row of a range; an empty one when nothing is known of it."""
        row = self._rows.get(range_id)
        if row is None:
            row = self._rows[range_id] = self._stored(range_id)
        return row

    def put(self, range_id: bytes, row: StatsRow) -> None:
        """Replace the row of a range."""
        self._rows[range_id] = row
        self._dirty.add(range_id)

    def _stored(self, range_id: bytes) -> StatsRow:
        value = self._index.get(rows.stats_key(self._partition_of(range_id), range_id))
        return StatsRow() if value is None else rows.unpack_stats(value)

    def flush(self) -> None:
        """Write what has changed."""
        for range_id in sorted(self._dirty):
            partition, new = self._partition_of(range_id), self._rows[range_id]
            tally.count_range(self._index, partition, range_id, old=self._stored(range_id), new=new)
            self._index.put(rows.stats_key(partition, range_id), rows.pack_stats(new))
        self._dirty.clear()
        if len(self._rows) > CACHED_MAX:
            self._rows.clear()

    def known(self) -> list[bytes]:
        """Ids of all ranges."""
        self.flush()
        found = self._index.scan(rows.STATS_TABLE, rows.after_table(rows.STATS_TABLE))
        return [key[rows.PARTITIONED_BYTES :] for key, _ in found]

    def forget(self) -> None:
        """The index has lost what was not committed."""
        self._rows.clear()
        self._dirty.clear()
