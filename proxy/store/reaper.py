"""Blobs that nothing names any more, waiting until readers of the old version are surely done.

Only blobs that were named by exactly one record come here (records that share blobs say so); what is
lost when a process dies is found by the orphan sweep.
"""

from __future__ import annotations

import asyncio
from collections import deque

from proxy.store.blobs import Blobs
from proxy.store.record import Extent, ObjectRecord

DELAY_S = 900.0
BATCH_MAX = 1000


class Reaper:
    """A queue of blobs with the time at which they may go."""

    def __init__(self, blobs: Blobs, delay_s: float = DELAY_S) -> None:
        self._blobs = blobs
        self._delay_s = delay_s
        self._queue: deque[tuple[float, tuple[Extent, ...]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def retire(self, record: ObjectRecord) -> None:
        """Queue the blobs of a record that was replaced or deleted."""
        if not record.manifest or record.shared:
            return
        loop = asyncio.get_running_loop()
        self._queue.append((loop.time() + self._delay_s, record.manifest))
        if self._timer is None:
            self._timer = loop.call_later(self._delay_s, self._reap)

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        due: set[tuple[bytes, int]] = set()
        while self._queue and self._queue[0][0] <= loop.time() and len(due) < BATCH_MAX:
            due.update((extent.blob, extent.policy) for extent in self._queue.popleft()[1])
        if due:
            self._blobs.drop(sorted(due))
        if self._queue:
            wait_s = max(0.1, self._queue[0][0] - loop.time())
            self._timer = loop.call_later(wait_s, self._reap)
