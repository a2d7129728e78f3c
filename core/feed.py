"""Waking those who wait for something new, within one process.

A long poll waits here until somebody says that something has changed, or its time is over; then it looks for itself. A
wake-up tells nothing but to look, so one too many does no harm, and one from another process that never comes costs
no more than the wait.
"""

from __future__ import annotations

import asyncio


class Feed:
    """Something that changes."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """It has changed: everybody who waits looks again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, timeout_s: float) -> bool:
        """Until the next change; False when none came in time."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return False
        return True
