"""One read of a piece: copies are asked one after another, and beside each other when they are slow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec

from core import checksum
from core.errors import Corrupt, Unavailable
from core.frame import Frame
from objectd import wire
from proxy.store.cluster import Cluster, Target
from proxy.store.slowness import Slowness

HEDGE_S = 0.15  # a read that takes longer asks another copy too
BACKGROUND_HEDGE_S = 2.0  # of one that no client waits for: asking twice would only add to the load
READ_TIMEOUT_S = 15.0


def hedge_of(cluster: Cluster) -> float:
    """Seconds that a read through this cluster waits for one copy before it asks another beside it."""
    return BACKGROUND_HEDGE_S if cluster.background else HEDGE_S


class Hunt:
    """Asks copies one after another, and beside each other when slow, until one verifies."""

    def __init__(
        self,
        candidates: Iterator[Target],
        head: bytes,
        slowness: Slowness,
        hedge_s: float = HEDGE_S,
    ) -> None:
        self._candidates = candidates
        self._head = head
        self._slowness = slowness
        self._hedge_s = hedge_s
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[Frame] = self._loop.create_future()
        self._open = 0
        self._corrupt = False
        self._calls: list[tuple[Target, int]] = []
        self._timer: asyncio.TimerHandle | None = None

    async def run(self) -> Frame:
        """The first answer that verifies."""
        limit = self._loop.call_later(READ_TIMEOUT_S, self._expire)
        self._ask_next()
        try:
            return await self._future
        finally:
            limit.cancel()
            if self._timer is not None:
                self._timer.cancel()
            for target, number in self._calls:
                target.bulk.forget(number)

    def _ask_next(self) -> None:
        if self._future.done():
            return
        if self._timer is not None:
            self._timer.cancel()
        target = next(self._candidates, None)
        if target is None:
            if not self._open:
                self._fail()
            return
        self._open += 1
        self._timer = self._loop.call_later(self._hedge_s, self._late, target)

        def reply(frame: Frame) -> None:
            self._answered(target, frame)

        number = target.bulk.call(wire.GET_BLOB, target.device, self._head, b"", reply)
        self._calls.append((target, number))

    def _late(self, target: Target) -> None:
        """Nothing came in time: ask the next beside it."""
        self._slowness.kept_waiting(target.device, self._loop.time())
        self._ask_next()

    def _answered(self, target: Target, frame: Frame) -> None:
        self._open -= 1
        self._slowness.answered(target.device)
        if self._future.done():
            return
        if frame.status == wire.OK and self._verifies(frame):
            self._future.set_result(frame)
            return
        self._corrupt = self._corrupt or frame.status in {wire.OK, wire.CORRUPT}
        self._ask_next()

    @staticmethod
    def _verifies(frame: Frame) -> bool:
        try:
            answer = wire.decode_blob_bytes(frame.head)
        except msgspec.MsgspecError:
            return False
        return checksum.sums_match(frame.body, answer.sums)

    def _expire(self) -> None:
        if not self._future.done():
            self._fail()

    def _fail(self) -> None:
        if self._corrupt:
            error: Exception = Corrupt("NoGoodCopy", "no copy of this data verifies")
        else:
            error = Unavailable("NoCopy", "no copy of this data can be reached")
        self._future.set_exception(error)
