"""One at a time per key, in order of arrival."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class Turnstile:
    """Mutual exclusion by key; costs nothing for keys that nobody holds."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, key: Hashable, timeout_s: float) -> AsyncIterator[None]:
        """Hold the key. Raises TimeoutError when the turn does not come in time."""
        queue = self._queues.get(key)
        if queue is None:
            self._queues[key] = deque()
        else:
            await self._wait(queue, timeout_s)
        try:
            yield
        finally:
            self._pass_on(key)

    async def _wait(self, queue: deque[asyncio.Future[None]], timeout_s: float) -> None:
        ticket: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(ticket)
        try:
            async with asyncio.timeout(timeout_s):
                await ticket
        except BaseException:
            if ticket.done() and not ticket.cancelled():
                self._pass_on(next(key for key, known in self._queues.items() if known is queue))
            raise

    def _pass_on(self, key: Hashable) -> None:
        queue = self._queues[key]
        while queue:
            ticket = queue.popleft()
            if not ticket.done():
                ticket.set_result(None)
                return
        del self._queues[key]
