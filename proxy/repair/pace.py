"""How fast background work may go: a budget of bytes a second, with a price for each operation."""

from __future__ import annotations

import asyncio

OPERATION_BYTES = 16 * 1024  # what one small copy counts for
RATE_BYTES_S = 32 * 1024 * 1024


class Pace:
    """Sleeps as needed to keep to a rate."""

    def __init__(self, rate_bytes_s: float = RATE_BYTES_S) -> None:
        self._rate = rate_bytes_s
        self._owed_s = 0.0

    async def spend(self, byte_count: int) -> None:
        """Account for one piece of work, and rest when enough has been done."""
        self._owed_s += (byte_count + OPERATION_BYTES) / self._rate
        if self._owed_s > 0.02:
            owed_s, self._owed_s = self._owed_s, 0.0
            await asyncio.sleep(owed_s)
