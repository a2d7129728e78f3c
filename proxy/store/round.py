"""One round of a protocol: the same call to several replicas, until enough have answered.

A round asks the replicas in `first`, and the others when one of those fails or when `hedge_s` has
passed. It ends when `enough` says so, when everyone has answered, at its timeout, or shortly after
a refusal: when somebody says no, a replica that does not answer is not waited for. What came until
then is returned. Late answers are dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from core.env import Buffer
from core.frame import Frame
from objectd import wire
from proxy.store.cluster import Target
from proxy.store.majority import Majority

Replies = dict[int, Frame]
Enough = Callable[[Replies], bool]

SLOW_FOR_S = 3.0
REFUSED_WAIT_S = 0.15  # how long others may take once one has refused
_NO = frozenset({wire.REFUSED, wire.STALE, wire.OLD_RING})


class Round:
    """State of one round. `replies` maps the replica's position to its answer."""

    __slots__ = (
        "_calls",
        "_enough",
        "_future",
        "_impatient",
        "_loop",
        "_message",
        "_refused_wait_s",
        "_rest_s",
        "_targets",
        "_timer",
        "_unasked",
        "replies",
    )

    def __init__(
        self,
        targets: Sequence[Target],
        operation: int,
        heads: Callable[[int], bytes],
        *,
        body: Buffer = b"",
        enough: Enough,
    ) -> None:
        self._targets = targets
        self._message = (operation, heads, body)
        self._enough = enough
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._calls: list[tuple[Target, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._rest_s = 0.0
        self._refused_wait_s = REFUSED_WAIT_S
        self._impatient = False
        self._unasked: list[int] = []
        self.replies: Replies = {}

    async def run(
        self,
        *,
        first: Sequence[int] | None = None,
        hedge_s: float = 0.05,
        timeout_s: float,
        refused_wait_s: float = REFUSED_WAIT_S,
    ) -> Replies:
        """Run the round and return the answers that came in time, by position."""
        self._refused_wait_s = refused_wait_s
        everyone = range(len(self._targets))
        asked = list(everyone) if first is None else list(first)
        self._unasked = [position for position in everyone if position not in asked]
        if self._unasked:
            self._rest_s = timeout_s - hedge_s
            self._timer = self._loop.call_later(hedge_s, self._tick)
        else:
            self._timer = self._loop.call_later(timeout_s, self._finish)
        for position in asked:
            self._ask(position)
        try:
            if not self._future.done():
                await self._future
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for target, number in self._calls:
                target.link.forget(number)
        return self.replies

    def _ask(self, position: int) -> None:
        operation, heads, body = self._message
        target = self._targets[position]

        def reply(frame: Frame) -> None:
            self._answered(position, frame)

        number = target.link.call(operation, target.device, heads(position), body, reply)
        self._calls.append((target, number))

    def _tick(self) -> None:
        """The first time to hedge, then to give up: one timer at a time."""
        until_s = self._loop.time() + SLOW_FOR_S
        for position, target in enumerate(self._targets):
            if position not in self.replies and position not in self._unasked:
                target.link.slow_until_s[target.device] = until_s
        self._timer = self._loop.call_later(self._rest_s, self._finish)
        self._ask_rest()

    def _ask_rest(self) -> None:
        unasked, self._unasked = self._unasked, []
        for position in unasked:
            self._ask(position)

    def _answered(self, position: int, frame: Frame) -> None:
        if self._future.done():
            return
        self.replies[position] = frame
        if self._enough(self.replies):
            self._finish()
            return
        asked_all_answered = len(self.replies) + len(self._unasked) == len(self._targets)
        if self._unasked and (frame.status != wire.OK or asked_all_answered):
            self._ask_rest()  # whose answer may come at once
        if len(self.replies) == len(self._targets):
            self._finish()
        elif frame.status in _NO and not self._future.done():
            self._hurry()

    def _hurry(self) -> None:
        """Somebody said no: wait for the others only a little longer."""
        if self._impatient:
            return
        self._impatient = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._refused_wait_s, self._finish)

    def _finish(self) -> None:
        if not self._future.done():
            self._future.set_result(None)


def preferred(targets: Sequence[Target], majority: Majority, turn: int) -> list[int]:
    """Positions to ask first, a majority: connected replicas, starting at `turn` so that load spreads.

    Those that kept somebody waiting a moment ago come after the others.
    """
    total = len(targets)
    order = [(turn + step) % total for step in range(total)]
    if len(majority.sets) > 1:  # those that count in both sets first
        order.sort(key=lambda position: not majority.shared(position))
    now_s = asyncio.get_running_loop().time()
    order.sort(key=lambda position: _reluctance(targets[position], now_s))
    chosen: list[int] = []
    for position in order:
        chosen.append(position)
        if majority.of(chosen):
            break
    return chosen


def _reluctance(target: Target, now_s: float) -> tuple[bool, bool]:
    slow = target.link.slow_until_s.get(target.device)
    return not target.link.up, slow is not None and slow > now_s
