"""`/host/{host}`: what a host's agent asks for and reports. For services of the cloud alone."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import msgspec

from core.api.call import Answer, Call
from core.api.route import Route
from networkd import hosts
from networkd.fault import absent, bad, malformed
from networkd.port import HostReport, HostState
from networkd.service import Service

NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
WAIT_S_MAX = 60.0
AGAIN_S = 2.0


class Hosts:
    """The two operations of an agent."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("GET", "/host/{host}", "get_host_state", self.state),
            Route("POST", "/host/{host}", "report_host", self.report, 204, _any),
        ]

    def _name(self, call: Call) -> str:
        call.allow()
        name = call.variables["host"]
        if not NAME.fullmatch(name):
            raise bad("That is not the name of a host.")
        return name

    async def state(self, call: Call) -> Answer:
        """The whole state, of a host that has reported: at once when it differs from the version `seen`, else after `wait_s` seconds at most."""
        name, seen = self._name(call), call.query.get("seen")
        try:
            left_s = min(max(float(call.query.get("wait_s") or 0), 0.0), WAIT_S_MAX)
        except ValueError:
            raise bad("wait_s is a number of seconds.") from None
        feed, loop = self._service.feed, asyncio.get_running_loop()
        # where several processes may share the database, one of them hears of another's changes by looking again
        alone = self._service.database.sqlite
        while True:
            began = loop.time()
            step_s = left_s if alone else min(left_s, AGAIN_S)
            waiting = asyncio.ensure_future(feed.wait(step_s))  # before the look: nothing is missed
            try:
                found = await self._look(name)
                if found.version != seen or not left_s > 0:
                    self._service.told.remember(found)
                    return Answer(msgspec.json.encode(found))
                await waiting
            finally:
                waiting.cancel()
            left_s = max(0.0, left_s - (loop.time() - began))

    async def _look(self, name: str) -> HostState:
        async with self._service.database.read() as db:
            if not await hosts.is_known(db, name):
                raise absent("Host", name)
            return await hosts.state_of(db, name)

    async def report(self, call: Call) -> None:
        """What has been done."""
        name = self._name(call)
        try:
            told = msgspec.convert(call.body, HostReport)
        except msgspec.ValidationError as error:
            raise malformed(f"That is no report: {error}") from None
        service = self._service
        async with service.database.read() as db:
            if not await hosts.is_news(db, service, name, told):
                return
        async with service.database.write() as db:
            concerns = await hosts.record(db, service, name, told)
        if concerns:
            service.feed.wake()


def _any(value: Any, where: str) -> None:
    del value, where
