"""How long a change of the ring will still take, from how it has gone so far. Pure.

Each of its epochs has two parts: index ranges catch up (the epoch is joint; how long that takes hardly
depends on bytes), then pieces move. So bytes are divided by the rate at which they moved while they moved,
and each epoch to come is given the time that catching up took before.
"""

from __future__ import annotations


class Estimate:
    """Fed with what is left, again and again; times in seconds on any one clock."""

    def __init__(self) -> None:
        self._last: tuple[float, int, bool, int] | None = None  # time, epoch, joint, bytes left
        self._moving_s = 0.0
        self._moved_bytes = 0
        self._joint_s = 0.0
        self._joint_count = 0
        self._this_joint_s = 0.0

    def saw(self, now_s: float, *, epoch: int, joint: bool, left_bytes: int) -> None:
        """What is left at this moment, of this epoch and all later ones."""
        if self._last is not None:
            before_s, last_epoch, was_joint, before_bytes = self._last
            passed_s = now_s - before_s
            if was_joint:
                self._joint_s += passed_s
                self._this_joint_s += passed_s
            else:
                self._moving_s += passed_s
            self._moved_bytes += max(0, before_bytes - left_bytes)
            if epoch != last_epoch:
                self._this_joint_s = 0.0
                self._joint_count += was_joint
        self._last = (now_s, epoch, joint, left_bytes)

    @property
    def rate_bytes_s(self) -> float:
        """How fast bytes have moved while they moved."""
        return self._moved_bytes / self._moving_s if self._moving_s > 0 else 0.0

    def left_s(self, later_epochs: int) -> float | None:
        """Time until the end; None while nothing has moved."""
        if self._last is None or not self.rate_bytes_s:
            return None
        _, _, joint, left_bytes = self._last
        each_s = self._joint_s / max(1, self._joint_count)
        joints_s = later_epochs * each_s
        if joint:
            joints_s += max(0.0, each_s - self._this_joint_s)
        return left_bytes / self.rate_bytes_s + joints_s
