"""The life of a compute agent: hear what is wanted, look at what there is, take steps, tell.

Each server's steps are taken one after the other, those of different servers side by side; a step that fails is tried again,
more and more rarely, and its reason is part of every report until it succeeds. Nothing is kept but which orders were
carried out, durably, because an order must not be carried out twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from computed import reconcile
from computed.port import ABSENT, RUNNING, HostReport, HostWanted, Hypervisor, Observed
from core.errors import RingstackError, Unavailable
from core.real import write_durably

log = logging.getLogger("ringstack.compute")

POLL_S = 20.0
LOOK_S = 1.0  # how long a change that nobody announces (a guest powers off) may go unseen
HEARTBEAT_S = 5.0
RETRY_S = (0.2, 0.2, 0.5, 0.5, 1.0, 2.0, 5.0)
OFFLINE_S = 0.5


class Api(Protocol):
    """The Compute API as an agent speaks to it."""

    async def wanted(self, seen: str, wait_s: float) -> HostWanted:
        """What this host should have, once it differs from `seen` or the time is over. Raises Unavailable."""
        ...

    async def report(self, report: HostReport) -> None:
        """Tell. Raises Unavailable."""
        ...


class Orders:
    """Which orders were carried out, by server; a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done: dict[str, int] = {}
        if path.exists():
            self.done = msgspec.json.decode(path.read_bytes(), type=dict[str, int])

    def carry_out(self, server_id: str, order: int) -> None:
        """Remember, before anybody is told."""
        if order > self.done.get(server_id, 0):
            self.done[server_id] = order
            self._write()

    def forget_others(self, server_ids: set[str]) -> None:
        """Drop those of servers that are no longer of this host."""
        gone = self.done.keys() - server_ids
        for server_id in gone:
            del self.done[server_id]
        if gone:
            self._write()

    def _write(self) -> None:
        write_durably(self._path, msgspec.json.encode(self.done))


class _Fault(msgspec.Struct):
    """Why a server is not what it should be, and when to try again."""

    reason: str
    attempts: int = 0
    after_s: float = 0.0


class Agent:
    """One host's. `run_for_ever` until cancelled."""

    def __init__(
        self, host: str, hypervisor: Hypervisor, api: Api, orders: Orders, *, console: str = ""
    ) -> None:
        self._hypervisor = hypervisor
        self._api = api
        self._orders = orders
        self._console = console
        self._power = {
            reconcile.START: hypervisor.start,
            reconcile.STOP: hypervisor.stop,
            reconcile.PAUSE: hypervisor.pause,
            reconcile.RESUME: hypervisor.resume,
            reconcile.SUSPEND: hypervisor.suspend,
            reconcile.DESTROY: hypervisor.destroy,
        }
        self._wanted = HostWanted("", host)
        self._known = False  # what is wanted has been heard at least once
        self._woken = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._faults: dict[str, _Fault] = {}
        self._asked: dict[str, float] = {}  # guests that were asked to power off, and since when
        self._told: HostReport | None = None
        self._told_s = 0.0
        self._observed: dict[str, Observed] = {}

    @property
    def observed(self) -> Mapping[str, Observed]:
        """What there was at the last look."""
        return self._observed

    async def run_for_ever(self) -> None:
        """Hear, do and tell until cancelled; what was begun ends by itself."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear_for_ever())
            group.create_task(self._act_for_ever())

    async def _hear_for_ever(self) -> None:
        while True:
            try:
                wanted = await self._api.wanted(self._wanted.version, POLL_S)
            except RingstackError as error:
                log.info("the Compute API cannot be heard: %s", error.message)
                await asyncio.sleep(OFFLINE_S)
                continue
            if wanted.version != self._wanted.version or not self._known:
                self._wanted, self._known = wanted, True
                self._orders.forget_others({one.server_id for one in wanted.servers})
                self._woken.set()

    async def _act_for_ever(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self.act()
            except RingstackError as error:
                log.warning("the hypervisor or the API fails: %s", error.message)
                await asyncio.sleep(OFFLINE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._woken.wait()

    def _pause_s(self) -> float:
        now_s = asyncio.get_running_loop().time()
        soonest = min((one.after_s for one in self._faults.values()), default=now_s + LOOK_S)
        return min(LOOK_S, max(0.02, soonest - now_s))

    async def act(self) -> None:
        """One look, the steps that it asks for begun, and a report when there is something to tell."""
        version = self._wanted.version
        self._observed = await self._hypervisor.observe()
        for server_id in self._asked.keys() - {
            name for name, one in self._observed.items() if one.power == RUNNING
        }:
            del self._asked[server_id]
        if self._known:  # an agent that has heard nothing removes nothing
            self._begin(reconcile.steps(self._wanted, self._observed, self._orders.done))
        await self._tell(version)

    def _begin(self, found: list[reconcile.Step]) -> None:
        now_s = asyncio.get_running_loop().time()
        plans: dict[str, list[reconcile.Step]] = {}
        for step in found:
            plans.setdefault(step.server_id, []).append(step)
        for server_id in self._faults.keys() - plans.keys() - self._running.keys():
            del self._faults[server_id]
        for server_id, plan in plans.items():
            fault = self._faults.get(server_id)
            if server_id not in self._running and (fault is None or fault.after_s <= now_s):
                task = asyncio.create_task(self._follow(server_id, plan))
                self._running[server_id] = task

    async def _follow(self, server_id: str, plan: list[reconcile.Step]) -> None:
        loop = asyncio.get_running_loop()
        try:
            for step in plan:
                await self._take(step)
                if step.order:
                    self._orders.carry_out(server_id, step.order)
        except Exception as error:
            if not isinstance(error, (RingstackError, OSError)):
                log.exception("a step for server %s failed", server_id)
            reason = error.message if isinstance(error, RingstackError) else str(error)
            fault = self._faults.setdefault(server_id, _Fault(reason))
            fault.reason = reason
            fault.after_s = loop.time() + RETRY_S[min(fault.attempts, len(RETRY_S) - 1)]
            fault.attempts += 1
            log.info("server %s: %s (attempt %d)", server_id, reason, fault.attempts)
        else:
            self._faults.pop(server_id, None)
        finally:
            self._running.pop(server_id, None)
            self._woken.set()

    async def _take(self, step: reconcile.Step) -> None:
        """One verb of the hypervisor."""
        server_id, hypervisor = step.server_id, self._hypervisor
        match step.verb:
            case reconcile.DEFINE if step.domain is not None:
                await hypervisor.define(step.domain)
            case reconcile.ATTACH_DISK if step.disk is not None:
                await hypervisor.attach_disk(server_id, step.disk)
            case reconcile.RESIZE_DISK if step.disk is not None:
                await hypervisor.resize_disk(server_id, step.disk)
            case reconcile.DETACH_DISK:
                await hypervisor.detach_disk(server_id, step.name)
            case reconcile.ATTACH_INTERFACE if step.interface is not None:
                await hypervisor.attach_interface(server_id, step.interface)
            case reconcile.DETACH_INTERFACE:
                await hypervisor.detach_interface(server_id, step.name)
            case reconcile.SHUTDOWN:
                await self._ask_to_power_off(server_id, step.stop_s)
            case reconcile.DONE:
                return
            case verb:
                await self._power[verb](server_id)

    async def _ask_to_power_off(self, server_id: str, stop_s: int) -> None:
        """Ask once; a guest that has not obeyed in time is powered off."""
        now_s = asyncio.get_running_loop().time()
        asked_s = self._asked.setdefault(server_id, now_s)
        if asked_s == now_s:
            await self._hypervisor.shutdown(server_id)
        elif now_s - asked_s >= stop_s:
            await self._hypervisor.stop(server_id)
        else:
            await asyncio.sleep(min(LOOK_S, 0.2))

    async def _tell(self, version: str) -> None:
        now_s = asyncio.get_running_loop().time()
        seen = self._observed.keys() | self._faults.keys()
        report = HostReport(
            version,
            await self._hypervisor.capacity(),
            tuple(self._with_memory(server_id) for server_id in sorted(seen)),
            self._console,
        )
        if report == self._told and now_s - self._told_s < HEARTBEAT_S:
            return
        try:
            await self._api.report(report)
        except Unavailable as error:
            log.info("the Compute API cannot be told: %s", error.message)
            return
        self._told, self._told_s = report, now_s

    def _with_memory(self, server_id: str) -> Observed:
        """What was seen of a server, which orders were carried out, and what is wrong."""
        fault = self._faults.get(server_id)
        one = self._observed.get(server_id) or Observed(server_id, ABSENT)
        return msgspec.structs.replace(
            one,
            order_done=max(one.order_done, self._orders.done.get(server_id, 0)),
            fault="" if fault is None else fault.reason,
        )
