"""An agent between what is wanted and what there is, with a hypervisor in memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from computed.agent.loop import Agent, Orders
from computed.fake import FakeHypervisor
from computed.port import (
    RUNNING,
    STOPPED,
    Capacity,
    Domain,
    HostReport,
    HostWanted,
    Order,
    Wanted,
)
from core.errors import Unavailable
from core.real import RealEnv

SERVER = "0b6a8f1e-0000-4000-8000-00000000f001"
DOMAIN = Domain(SERVER, "instance-1", 64, 1)


class Desk:
    """The Compute API in memory: what is wanted now, and the last report."""

    def __init__(self) -> None:
        self.now = HostWanted("", "host-1")
        self.changed = asyncio.Event()
        self.reports: list[HostReport] = []
        self.away = False

    def want(self, *servers: Wanted) -> None:
        self.now = HostWanted(str(int(self.now.version or 0) + 1), "host-1", servers)
        self.changed.set()
        self.changed = asyncio.Event()

    async def wanted(self, seen: str, wait_s: float) -> HostWanted:
        if self.away:
            raise Unavailable("Away", "nobody answers")
        if self.now.version == seen:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self.changed.wait()
        return self.now

    async def report(self, report: HostReport) -> None:
        if self.away:
            raise Unavailable("Away", "nobody answers")
        self.reports.append(report)


class Site:
    """One host; `agent()` starts another agent over the same machines, as after a crash."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.desk = Desk()
        capacity = Capacity(2, 2048, 10, "fake", 1, "host-1")
        self.machines = FakeHypervisor(RealEnv(), capacity)
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        orders = Orders(self.root / "orders.json")
        self.task = asyncio.create_task(
            Agent("host-1", self.machines, self.desk, orders).run_for_ever()
        )

    async def kill(self) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            assert self.task is not None
            assert not self.task.done(), self.task.exception()
            await asyncio.sleep(0.005)

    def power(self) -> str:
        machine = self.machines.machines.get(SERVER)
        return "absent" if machine is None else machine.power

    def told(self, **facts: object) -> bool:
        """The last report says so of the server."""
        if not self.desk.reports:
            return False
        found = [one for one in self.desk.reports[-1].servers if one.server_id == SERVER]
        return bool(found) and all(getattr(found[0], name) == facts[name] for name in facts)


def on_site(root: Path, work: Callable[[Site], Awaitable[None]]) -> None:
    async def body() -> None:
        site = Site(root)
        site.start()
        async with asyncio.timeout(20):
            await work(site)
        await site.kill()

    asyncio.run(body())


def test_a_wanted_server_runs_and_goes(tmp_path: Path) -> None:
    """Made, reported, removed; nothing is left."""

    async def work(site: Site) -> None:
        site.desk.want(Wanted(SERVER, DOMAIN))
        await site.until(lambda: site.told(power=RUNNING))
        site.desk.want(Wanted(SERVER, None))
        await site.until(lambda: site.power() == "absent")
        site.desk.want()
        await site.until(lambda: bool(site.desk.reports) and site.desk.reports[-1].servers == ())

    on_site(tmp_path, work)


def test_an_order_is_carried_out_once_whatever_dies(tmp_path: Path) -> None:
    """A reboot before a crash of the agent is not done again after it."""

    async def work(site: Site) -> None:
        site.desk.want(Wanted(SERVER, DOMAIN))
        await site.until(lambda: site.power() == RUNNING)
        ordered = Wanted(SERVER, DOMAIN, orders=(Order(1, "reset"),))
        site.desk.want(ordered)
        await site.until(lambda: site.told(power=RUNNING, order_done=1))
        boots = site.machines.machines[SERVER].boots
        await site.kill()
        site.desk.reports.clear()
        site.start()
        await site.until(lambda: site.told(order_done=1))
        await asyncio.sleep(0.05)
        assert site.machines.machines[SERVER].boots == boots

    on_site(tmp_path, work)


def test_what_fails_is_told_and_tried_again(tmp_path: Path) -> None:
    """With its reason, also for a machine that does not exist yet; then it works."""

    async def work(site: Site) -> None:
        site.machines.failing["define"] = Unavailable("NoRoom", "there is no room")
        site.desk.want(Wanted(SERVER, DOMAIN))
        await site.until(lambda: site.told(fault="there is no room"))
        del site.machines.failing["define"]
        await site.until(lambda: site.told(power=RUNNING, fault=""))

    on_site(tmp_path, work)


def test_an_agent_that_hears_nothing_removes_nothing(tmp_path: Path) -> None:
    """Guests run on while the API is away, and are told of when it is back."""

    async def work(site: Site) -> None:
        site.desk.want(Wanted(SERVER, DOMAIN))
        await site.until(lambda: site.power() == RUNNING)
        await site.kill()
        site.desk.away = True
        site.desk.reports.clear()
        site.start()
        await asyncio.sleep(0.1)
        assert site.power() == RUNNING
        site.desk.away = False
        await site.until(lambda: site.told(power=RUNNING))

    on_site(tmp_path, work)


def test_a_guest_that_does_not_obey_is_powered_off(tmp_path: Path) -> None:
    """Once its time is over."""

    async def work(site: Site) -> None:
        site.desk.want(Wanted(SERVER, DOMAIN))
        await site.until(lambda: site.power() == RUNNING)
        site.machines.deaf.add(SERVER)
        site.desk.want(Wanted(SERVER, DOMAIN, power=STOPPED, stop_s=1))
        await site.until(lambda: site.power() == STOPPED)
        assert site.machines.verbs["shutdown"] == 1

    on_site(tmp_path, work)


def test_orders_of_servers_that_have_gone_are_forgotten(tmp_path: Path) -> None:
    """The file does not grow for ever."""
    orders = Orders(tmp_path / "orders.json")
    orders.carry_out("a", 3)
    orders.carry_out("b", 1)
    orders.carry_out("a", 2)
    assert Orders(tmp_path / "orders.json").done == {"a": 3, "b": 1}
    orders.forget_others({"b"})
    assert msgspec.json.decode((tmp_path / "orders.json").read_bytes()) == {"b": 1}
