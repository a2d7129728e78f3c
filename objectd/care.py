"""What is done for the devices of a process beside answering calls: scrub, and getting over a failure.

A device that failed a write takes no more (what a failed sync has lost cannot be known), and goes on answering
reads. It is probed now and then; once its directory is the right one and takes writes again, it is closed and
opened like after a crash. Others are not concerned.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from objectd.device import Device
from objectd.scrub import Scrub
from objectd.server import ObjectServer

log = logging.getLogger("ringstack.objectd")

PROBE_S = (2.0, 5.0, 10.0, 30.0, 60.0)
DRAIN_S = 0.5  # calls under way on a device that is closed may end

Probe = Callable[[Device], Awaitable[bool]]


class Care:
    """Looks after the devices of a server. `opened` is the list that makes a missing device be opened again."""

    def __init__(self, server: ObjectServer, opened: list[Device], probe: Probe) -> None:
        self._server = server
        self._opened = opened
        self._probe = probe
        self._tasks: dict[int, list[asyncio.Task[None]]] = {}

    def begin(self, device: Device) -> None:
        """A device has been opened: serve and look after it."""
        number = device.identity.device
        self._server.devices[number] = device
        scrub = Scrub(device, client_calls=lambda: self._server.client_calls)
        loop = asyncio.get_running_loop()
        self._tasks[number] = [
            loop.create_task(scrub.run()),
            loop.create_task(self._watch(device)),
        ]

    async def _watch(self, device: Device) -> None:
        """Wait until the device has failed and could be opened again; then let go of it."""
        attempt = 0
        while True:
            await asyncio.sleep(PROBE_S[min(attempt, len(PROBE_S) - 1)])
            if device.log.failed is None:
                continue
            if not attempt:
                log.error("device %s has failed: %s", device.identity.name, device.log.failed)
            attempt += 1
            if await self._probe(device):
                await self._let_go(device)
                return

    async def _let_go(self, device: Device) -> None:
        number = device.identity.device
        log.warning("device %s takes writes again and is opened anew", device.identity.name)
        self._server.devices.pop(number, None)
        self._tasks.pop(number)[0].cancel()
        await asyncio.sleep(DRAIN_S)
        device.close(clean=False)
        self._opened.remove(device)
