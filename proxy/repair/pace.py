"""How fast background work may go: full speed while nobody waits, as fast as is kind while clients are served.

One `Pace` is shared by all workers of a process. Work pays before it is done: bytes, and a price for each
operation. What clients are doing is learned from the devices, which count the calls that are not ours. How much the
machine can bear beside them is learned from our own lateness: this process is nicer than those that serve
clients, so a timer that fires late here says that processors are scarce, and that work of ours which others
have to do for us is in their way. Like a sender on a network, the rate then halves, and rises again slowly.
"""

from __future__ import annotations

import asyncio

from core.limits import MIB

OPERATION_BYTES = 16 * 1024  # what one small copy counts for
IDLE_BYTES_S = 2048 * MIB
BUSY_BYTES_S = 24 * MIB
BUSY_BYTES_S_MIN = 256 * 1024  # however scarce the processors are, work goes on
BUSY_CALLS_S = 2.0  # calls of clients to one device in a second; fewer are no load
CALM_S = 2.0  # this long without them before the speed goes up again
LATE_S = 0.010  # a timer this late means that processors are scarce
HALVE_EVERY_S = 0.2  # what a lower rate has changed shows after a while
RISE = 1.03  # of the rate, each time that a timer was not late


class Pace:
    """Keeps to a rate, bytes a second. `limit` is an operator's ceiling over both rates."""

    def __init__(
        self, idle_bytes_s: float = IDLE_BYTES_S, busy_bytes_s: float = BUSY_BYTES_S
    ) -> None:
        self._idle_bytes_s = idle_bytes_s
        self._busy_bytes_s = min(busy_bytes_s, idle_bytes_s)
        self._kind_bytes_s = self._busy_bytes_s / 8  # found out beside clients; begins modestly
        self._halved_s = 0.0
        self._free_at_s = 0.0
        self._busy_until_s = 0.0
        self._seen: dict[int, tuple[float, int]] = {}
        self.limit_bytes_s: float | None = None
        self.spent_bytes = 0  # on pieces
        self.register_bytes = 0  # on records, which a plan of moves does not count

    async def spend(self, byte_count: int, *, registers: bool = False) -> None:
        """Wait until this much work may be done."""
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        cost_s = (byte_count + OPERATION_BYTES) / self.rate_bytes_s(now_s)
        start_s = max(now_s, self._free_at_s)
        self._free_at_s = start_s + cost_s
        if registers:
            self.register_bytes += byte_count
        else:
            self.spent_bytes += byte_count
        if start_s - now_s > 0.002:
            await asyncio.sleep(start_s - now_s)

    def rate_bytes_s(self, now_s: float) -> float:
        """The rate at this moment of the loop's clock."""
        rate = self._kind_bytes_s if now_s < self._busy_until_s else self._idle_bytes_s
        return rate if self.limit_bytes_s is None else min(rate, self.limit_bytes_s)

    def saw(self, device: int, client_calls: int, now_s: float) -> None:
        """A device has been called so often by clients since it started."""
        before_s, before = self._seen.get(device, (now_s, client_calls))
        self._seen[device] = (now_s, client_calls)
        passed_s = now_s - before_s
        if passed_s > 0 and (client_calls - before) / passed_s > BUSY_CALLS_S:
            self._busy_until_s = now_s + CALM_S
            self._free_at_s = min(self._free_at_s, now_s + 1.0)

    def felt(self, late_s: float, now_s: float) -> None:
        """A timer of this process fired so late; called many times a second."""
        if late_s < LATE_S:
            self._kind_bytes_s = min(self._busy_bytes_s, self._kind_bytes_s * RISE)
        elif now_s - self._halved_s > HALVE_EVERY_S:
            self._halved_s = now_s
            lowest = min(BUSY_BYTES_S_MIN, self._busy_bytes_s)
            self._kind_bytes_s = max(lowest, self._kind_bytes_s / 2)
