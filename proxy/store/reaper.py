"""Blobs that nothing names any more, waiting until readers of the old version are surely done.

Only blobs that were named by exactly one record come here (records that share blobs say so); what is
lost when a process is killed is found by the orphan sweep. The queue is bounded: under a flood of overwrites
the oldest go before their time, and a reader that has been at one of them for minutes is cut short.
"""

from __future__ import annotations

import asyncio
from collections import deque

from objectd.wire import BLOB_ID_BYTES
from proxy.store.blobs import Blobs
from proxy.store.record import ObjectRecord

DELAY_S = 900.0
BATCH_MAX = 1000
QUEUE_BYTES_MAX = 8 * 1024 * 1024  # of ids: half a million blobs
_ID_BYTES = 2 + BLOB_ID_BYTES


class Reaper:
    """A queue of blobs with the time at which they may go."""

    def __init__(self, blobs: Blobs, delay_s: float = DELAY_S) -> None:
        self._blobs = blobs
        self._delay_s = delay_s
        self._queue: deque[tuple[float, bytes]] = deque()  # due, then policy + id of each blob
        self._queued_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def retire(self, record: ObjectRecord) -> None:
        """Queue the blobs of a record that was replaced or deleted."""
        if not record.manifest or record.shared:
            return
        loop = asyncio.get_running_loop()
        ids = b"".join(extent.policy.to_bytes(2, "big") + extent.blob for extent in record.manifest)
        self._queue.append((loop.time() + self._delay_s, ids))
        self._queued_bytes += len(ids)
        if self._timer is None:
            self._timer = loop.call_later(self._delay_s, self._reap)
        if self._queued_bytes > QUEUE_BYTES_MAX:
            self._reap()

    @property
    def queued_bytes(self) -> int:
        """Size of the queue."""
        return self._queued_bytes

    def _reap(self) -> None:
        """Drop what is due, a batch at a time, and what there is no room to remember."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due: dict[tuple[bytes, int], None] = {}
        while self._queue and len(due) < BATCH_MAX:
            if self._queue[0][0] > loop.time() and self._queued_bytes <= QUEUE_BYTES_MAX:
                break
            due.update(self._take())
        if due:
            self._blobs.drop(sorted(due))
        if self._queue:
            wait_s = max(0.1, self._queue[0][0] - loop.time())
            self._timer = loop.call_later(wait_s, self._reap)

    def _take(self) -> dict[tuple[bytes, int], None]:
        _, ids = self._queue.popleft()
        self._queued_bytes -= len(ids)
        return {
            (
                ids[start + 2 : start + _ID_BYTES],
                int.from_bytes(ids[start : start + 2], "big"),
            ): None
            for start in range(0, len(ids), _ID_BYTES)
        }

    async def flush(self, timeout_s: float) -> None:
        """Drop everything now: this process ends, and with it the readers it knows of."""
        due: dict[tuple[bytes, int], None] = {}
        while self._queue:
            due.update(self._take())
        if due:
            await self._blobs.drop_now(sorted(due), timeout_s)
