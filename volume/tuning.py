"""Sizes and limits of the library, as one value: tests and the crash harness make them small. Pure."""

from __future__ import annotations

from typing import NamedTuple

from volume.extent_map import LEAF_BLOCKS
from volume.place import DATA_BLOCKS_MAX

MIB = 1 << 20


class Tuning(NamedTuple):
    """Blocks are of 4 KiB. `broken`: rules that the crash harness leaves out to see whether it notices."""

    batch_blocks: int = DATA_BLOCKS_MAX
    window: int = 4  # entries in flight; more than that beyond the end nobody has to look
    leaf_blocks: int = LEAF_BLOCKS
    idle_s: float = 1.0  # after which what is gathered goes into the log without being asked for
    flush_timeout_s: float = 60.0
    checkpoint_entries: int = 512
    checkpoint_blocks: int = 16 * 1024  # 64 MiB of log
    delta_bytes: int = 256 * 1024  # a delta grows up to here before another is begun
    delta_runs: int = 64 * 1024  # then a base is written, unless the map is so large that it waits
    parts_max: int = 24
    full_ratio: float = 0.78  # what is live of the log, below which the collector works
    collect_min_blocks: int = 8 * DATA_BLOCKS_MAX  # of garbage before it is worth anything
    collect_overhead: int = 1  # blocks that being an object costs
    small_blocks: int = 16  # an object of so few is small
    small_count: int = 4096  # so many of them are worth being merged, whatever lives in them
    look_every: int = 16  # entries between two looks at what could be collected
    replay_ahead: int = 32
    cache_bytes: int = 32 * MIB
    pieces_max: int = 2048  # objects whose manifest is remembered
    ahead_bytes: int = 4 * MIB
    view_lease_s: int = 24 * 3600
    kept_checkpoints: int = 32
    rows_kept: int = 16  # branches that are in the state before those of which nothing is left go
    remove_at_once: int = 16
    broken: frozenset[str] = frozenset()


STANDARD = Tuning()
