"""How long a change of the ring will still take, from how it has gone so far. Pure.

Each of its epochs has two parts: index ranges catch up and everybody learns of the ring (which takes time
for each replica that moves, whatever its bytes), then pieces move. So bytes are divided by the rate at
which they moved while they moved, and the replicas of epochs to come are given the time that the first part
took for each one before.
"""

from __future__ import annotations


class Estimate:
    """Fed with what is left, again and again; times in seconds on any one clock."""

    def __init__(self) -> None:
        self._last_s: float | None = None
        self._epoch = 0  # the last stable one, or the one that a joint one leads to
        self._left_bytes = 0  # when pieces could last move
        self._moving = False  # pieces of this epoch have begun to move
        self._moving_s = 0.0
        self._moved_bytes = 0
        self._first_s = 0.0  # time of all first parts, and the replicas they were for
        self._first_parts = 0
        self._this_first_s = 0.0
        self._this_parts = 0

    def saw(self, now_s: float, *, epoch: int, joint: bool, left_bytes: int, parts: int) -> None:
        """What is left at this moment: bytes of this epoch and all later ones, replicas of this one.

        What a joint epoch leaves is not looked at: nothing moves in it, and devices that are new may
        not answer yet.
        """
        passed_s = 0.0 if self._last_s is None else now_s - self._last_s
        self._last_s = now_s
        if epoch + joint != self._epoch:
            self._epoch = epoch + joint
            self._moving = False
            self._this_first_s, self._this_parts = 0.0, 0
        if not self._this_parts and not joint:
            self._begin(parts)
        if joint or not self._left_bytes:
            self._wait(passed_s)
            self._left_bytes = self._left_bytes if joint else left_bytes
            return
        moved = self._left_bytes - left_bytes
        self._moving = self._moving or moved > 0
        if self._moving:
            self._moving_s += passed_s
            self._moved_bytes += max(0, moved)
        else:
            self._wait(passed_s)
        self._left_bytes = left_bytes

    def _begin(self, parts: int) -> None:
        self._this_parts = max(1, parts)
        self._first_parts += self._this_parts

    def _wait(self, passed_s: float) -> None:
        self._first_s += passed_s
        self._this_first_s += passed_s

    @property
    def rate_bytes_s(self) -> float:
        """How fast bytes have moved while they moved."""
        return self._moved_bytes / self._moving_s if self._moving_s > 0 else 0.0

    def left_s(self, later_parts: int) -> float | None:
        """Time until the end; None while nothing has moved. `later_parts`: replicas of epochs to come."""
        if not self.rate_bytes_s:
            return None
        each_s = self._first_s / max(1, self._first_parts)
        return self._left_bytes / self.rate_bytes_s + later_parts * each_s
