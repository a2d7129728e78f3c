"""Wanted and observed become steps; steps lead to what is wanted, from everywhere, and then there are none."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from computed import reconcile
from computed.fake import FakeHypervisor, Machine
from computed.port import (
    ABSENT,
    CRASHED,
    PAUSED,
    RUNNING,
    STOPPED,
    SUSPENDED,
    Capacity,
    Disk,
    Domain,
    HostWanted,
    Interface,
    Observed,
    Order,
    Wanted,
)
from core.errors import Unavailable
from core.real import RealEnv
from tests.machine_hands import Hands

CAPACITY = Capacity(4, 8192, 100, "fake", 1, "host1")
ENV = RealEnv()


def domain(
    name: str = "s1", disks: tuple[str, ...] = ("a",), nics: tuple[str, ...] = ("p",)
) -> Domain:
    return Domain(
        name,
        f"instance-{name}",
        512,
        1,
        disks=tuple(Disk(f"v{one}", one, f"vd{one}", one) for one in disks),
        interfaces=tuple(Interface(one, "fa:16:3e:00:00:01", f"tap{one}") for one in nics),
    )


def wanted(*servers: Wanted) -> HostWanted:
    return HostWanted("1", "host1", servers)


def verbs(found: list[reconcile.Step]) -> list[str]:
    return [step.verb for step in found]


def test_a_new_server_is_defined_and_started_and_its_order_is_done() -> None:
    one = Wanted("s1", domain(), RUNNING, (Order(1, "start"),))
    found = reconcile.steps(wanted(one), {}, {})
    assert verbs(found) == ["define", "start"]
    assert found[-1].order == 1
    seen = Observed("s1", RUNNING, disks=("a",), interfaces=("p",))
    assert reconcile.steps(wanted(one), {"s1": seen}, {"s1": 1}) == []


def test_a_guest_that_powered_itself_off_stays_off() -> None:
    one = Wanted("s1", domain(), RUNNING, (Order(1, "start"),))
    seen = Observed("s1", STOPPED, disks=("a",), interfaces=("p",))
    assert reconcile.steps(wanted(one), {"s1": seen}, {"s1": 1}) == []


def test_what_nobody_wants_is_destroyed() -> None:
    seen = {"s1": Observed("s1", RUNNING), "s2": Observed("s2", STOPPED)}
    found = reconcile.steps(wanted(Wanted("s2", None)), seen, {})
    assert {(step.server_id, step.verb) for step in found} == {("s1", "destroy"), ("s2", "destroy")}


def test_devices_are_changed_by_difference_and_what_goes_goes_first() -> None:
    one = Wanted("s1", domain(disks=("a", "b"), nics=("q",)), RUNNING)
    seen = Observed("s1", RUNNING, disks=("a", "c"), interfaces=("p",))
    assert verbs(reconcile.steps(wanted(one), {"s1": seen}, {})) == [
        "detach_disk",
        "detach_interface",
        "attach_disk",
        "attach_interface",
    ]


def test_a_deaf_guest_is_powered_off_after_its_time() -> None:
    """Asked once, waited for, then its power is cut."""
    clock = [0.0]
    fake = FakeHypervisor(ENV, CAPACITY)
    hands = Hands(fake, lambda: clock[0], {})
    fake.deaf.add("s1")

    async def run() -> None:
        await hands.pass_once(wanted(Wanted("s1", domain(), RUNNING, (Order(1, "start"),))))
        off = wanted(Wanted("s1", domain(), STOPPED, stop_s=60))
        await hands.pass_once(off)
        await hands.pass_once(off)
        assert fake.machines["s1"].power == RUNNING
        assert fake.verbs["shutdown"] == 1
        clock[0] = 61
        await hands.pass_once(off)
        assert fake.machines["s1"].power == STOPPED

    asyncio.run(run())


def test_one_servers_trouble_is_not_anothers() -> None:
    fake = FakeHypervisor(ENV, CAPACITY)
    hands = Hands(fake, lambda: 0.0, {})
    order = (Order(1, "start"),)
    both = wanted(
        Wanted("s1", domain(), RUNNING, order), Wanted("s2", domain("s2"), RUNNING, order)
    )

    async def run() -> None:
        fake.machines["s1"] = Machine(domain(), STOPPED)
        fake.failing["attach_disk"] = Unavailable("Down", "no such export")
        await hands.pass_once(both)
        assert "no such export" in hands.faults["s1"]
        assert fake.machines["s2"].power == RUNNING

    asyncio.run(run())


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    power=st.sampled_from([ABSENT, RUNNING, STOPPED, PAUSED, SUSPENDED, CRASHED]),
    goal=st.sampled_from([RUNNING, STOPPED, PAUSED, SUSPENDED, ABSENT]),
    kinds=st.lists(st.sampled_from(["start", "reboot", "reset", "resize_disk"]), max_size=3),
    held=st.sets(st.sampled_from("abc")),
    asked=st.sets(st.sampled_from("abc")),
    done=st.integers(0, 3),
)
def test_steps_lead_to_what_is_wanted(
    power: str, goal: str, kinds: list[str], held: set[str], asked: set[str], done: int
) -> None:
    """From every state, with every order open, a few passes end with no step left and the state wanted."""
    fake = FakeHypervisor(ENV, CAPACITY)
    if power != ABSENT:
        machine = Machine(domain(), power)
        machine.disks = {one: domain(disks=(one,)).disks[0] for one in sorted(held)}
        fake.machines["s1"] = machine
    orders = tuple(
        Order(at + 1, kind, "a" if kind == "resize_disk" else "") for at, kind in enumerate(kinds)
    )
    hands = Hands(fake, lambda: 0.0, {"s1": done})
    goal_now = wanted(Wanted("s1", domain(disks=tuple(sorted(asked))), goal, orders, stop_s=1))

    async def run() -> None:
        for _ in range(8):
            if not await hands.pass_once(goal_now):
                break
        else:
            pytest.fail("the steps do not end")
        assert hands.faults == {}
        if goal == ABSENT:
            assert "s1" not in fake.machines
            return
        machine = fake.machines["s1"]
        assert set(machine.disks) == asked
        restarted = any(order.kind != "resize_disk" and order.id > done for order in orders)
        if power in {STOPPED, CRASHED} and goal != STOPPED and not restarted:
            assert machine.power == power
        else:
            assert machine.power == goal or (machine.power == CRASHED and goal == STOPPED)

    asyncio.run(run())
