"""Waking those who wait for something new, within one process.

A long poll remembers the mark, looks, and waits here until something has changed since that mark, or its time is over; then it
looks for itself. A wake-up tells nothing but to look, so one too many does no harm, and one from another process that
never comes costs no more than the wait.
"""

from __future__ import annotations

import asyncio


class Feed:
    """Something that changes."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._mark = 0

    @property
    def mark(self) -> int:
        """How often it has changed: to be read before looking."""
        return self._mark

    def wake(self) -> None:
        """It has changed: everybody who waits looks again."""
        self._mark += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, timeout_s: float, mark: int | None = None) -> bool:
        """Until the next change, or the first one after a mark; False when none came in time."""
        if mark is not None and mark != self._mark:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
