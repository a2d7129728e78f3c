"""Which devices have kept us waiting or had no room lately: they are asked last for a while. Pure.

A node that is paused or cut off keeps its connections, so nothing but its silence tells. Without this, every
read would wait for its hedge again, and every write would hold a copy of its bytes for it.
"""

from __future__ import annotations

SLOW_FOR_S = 3.0
FULL_FOR_S = 5.0


class Slowness:
    """Devices by the time until which they count as slow. Times are the loop's seconds."""

    def __init__(self) -> None:
        self._until_s: dict[int, float] = {}
        self._full_until_s: dict[int, float] = {}

    def kept_waiting(self, device: int, now_s: float) -> None:
        """The device did not answer in time."""
        self._until_s[device] = now_s + SLOW_FOR_S

    def answered(self, device: int) -> None:
        """The device answered."""
        self._until_s.pop(device, None)

    def slow(self, device: int, now_s: float) -> bool:
        """It kept us waiting a moment ago."""
        return _holds(self._until_s, device, now_s)

    def no_room(self, device: int, now_s: float) -> None:
        """The device refused a piece for want of room."""
        self._full_until_s[device] = now_s + FULL_FOR_S

    def full(self, device: int, now_s: float) -> bool:
        """It had no room a moment ago: sending it megabytes would only cost time."""
        return _holds(self._full_until_s, device, now_s)


def _holds(until: dict[int, float], device: int, now_s: float) -> bool:
    until_s = until.get(device)
    if until_s is None:
        return False
    if until_s <= now_s:
        del until[device]
        return False
    return True
