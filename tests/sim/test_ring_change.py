"""Schedules of a ring change that random histories hardly ever find, written down.

In each, device X leaves a range's replicas {A, B, X} and device D joins. What the correct code must never show,
the named rule left out shows.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from core.errors import NotFound
from proxy.store import names
from proxy.store.record import OBJECTS, BodyDigest, Draft, ObjectName
from proxy.store.verbs import ClusterStore
from ring.build import build
from sim.cluster import KeeperNode, ObjectNode, SimCluster, ring_device
from sim.faults import quiet
from sim.mutants import SCHEDULED
from tests.virtual import World, run

ACCOUNT = "AUTH_story"
LEAVING, JOINING = 3, 4


class Story:
    """A cluster of four devices and a spare; a container whose range moves from X to D."""

    def __init__(self, world: World, broken: frozenset[str]) -> None:
        self.cluster = SimCluster(
            world.loop, 5, quiet(), nodes=4, spares=1, proxies=1, broken=broken, repairing=False
        )
        wanted = tuple(ring_device(number) for number in (0, 1, 2, JOINING))
        self.goal = dataclasses.replace(self.cluster.draft, devices=wanted)
        self.key = ObjectName(ACCOUNT, "?", "name")
        self.stay: list[int] = []  # A and B

    @property
    def keeper(self) -> KeeperNode:
        assert self.cluster.keeper is not None
        return self.cluster.keeper

    @property
    def store(self) -> ClusterStore:
        store = self.cluster.proxies[0].store
        assert store is not None
        return store

    async def begin(self) -> None:
        """Start, and find a container whose range moves."""
        self.cluster.start()
        joint = build(self.goal, self.cluster.epoch).joint
        assert joint is not None
        for number in range(100):
            container = f"c{number}"
            await self.store.create_container(ACCOUNT, container, policy=None, change={})
            record = (await self.store.get_container(ACCOUNT, container)).record
            range_id = names.container_range(record.incarnation, OBJECTS)
            sets = joint.index_sets(joint.partition(range_id))
            ids = [{one.id for one in members} for members in sets]
            if len(sets) == 2 and ids[1] - ids[0] == {LEAVING} and ids[0] - ids[1] == {JOINING}:
                self.key = self.key._replace(container=container)
                self.stay = sorted(ids[0] & ids[1])
                return
        raise AssertionError("no range moves from X to D")

    async def put(self, text: str) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield text.encode()

        def draft(digest: BodyDigest) -> Draft:
            del digest
            return Draft("text/plain", {})

        await self.store.put_object(self.key, body(), draft)

    async def get(self) -> str | None:
        try:
            found = await self.store.get_object(self.key)
        except NotFound:
            return None
        return b"".join([bytes(piece) async for piece in self.store.read(found)]).decode()

    def node(self, number: int) -> ObjectNode:
        return self.cluster.nodes[number]

    async def until(self, true: Callable[[], bool]) -> None:
        for _ in range(20_000):
            if true():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it never came to that")

    async def reach_goal(self, goal: Any) -> None:
        self.keeper.goal = goal
        await self.until(lambda: not self.keeper.active and not self.keeper.epoch.joint)


Plot = Callable[[Story], Awaitable[tuple[str | None, str | None]]]


async def a_write_while_joint(story: Story) -> tuple[str | None, str | None]:
    """X takes part in a write, B does not; then B and D are asked.

    Returns what must be read, and what is.
    """
    await story.put("old")
    keeper = story.keeper
    keeper.goal = story.goal
    await story.until(
        lambda: bool(keeper.progress and keeper.progress.joint and not keeper.progress.waiting)
    )
    keeper.paused = True
    a, b = story.stay
    story.node(b).kill(power_loss=False)
    await story.put("new")
    story.node(b).start()
    keeper.paused = False
    await story.until(lambda: story.node(b).epoch.number >= 3)
    story.node(a).kill(power_loss=False)
    return "new", await story.get()


async def a_replica_that_comes_back(story: Story) -> tuple[str | None, str | None]:
    """X holds an object, is down while it leaves and the object is deleted and forgotten, and joins again."""
    await story.put("risen")
    story.node(LEAVING).kill(power_loss=False)
    await story.reach_goal(story.goal)
    await story.store.delete_object(story.key)
    await asyncio.sleep(1)
    done = await story.cluster.proxies[0].reclaim(-60_000_000)
    assert done.names
    without_d = tuple(ring_device(number) for number in (0, 1, 2, LEAVING))
    story.keeper.goal = dataclasses.replace(story.goal, devices=without_d)
    await story.until(lambda: story.keeper.epoch.joint)
    story.node(LEAVING).start()
    while story.keeper.active:
        await story.cluster.proxies[0].repair()  # what has left D is forgotten there
        await asyncio.sleep(0.3)
    a, _ = story.stay
    story.node(a).kill(power_loss=False)
    return None, await story.get()


async def a_joiner_under_a_floor(story: Story) -> tuple[str | None, str | None]:
    """Tombstones were reclaimed and sweeps have passed; D learns older records, with blobs, all the same.

    Nobody repairs anything here: what D holds it was taught before the new set stood alone.
    """
    text = "kept " * 10_000
    a, b = story.stay
    story.node(b).kill(power_loss=False)
    await story.put(text)  # on A and X only
    story.node(b).start()
    await asyncio.sleep(3)
    other = story.key._replace(name="other")
    story.key, key = other, story.key
    await story.put("gone")
    await story.store.delete_object(other)
    story.key = key
    await asyncio.sleep(1)
    proxy = story.cluster.proxies[0]
    assert (await proxy.reclaim(-60_000_000)).names
    for _ in range(3):
        assert not (await proxy.sweep()).problem
    story.keeper.goal = story.goal
    await story.until(lambda: story.node(b).epoch.number >= 3)
    story.node(a).kill(power_loss=False)
    story.node(LEAVING).kill(power_loss=False)
    return text, await story.get()


PLOTS: dict[str, Plot] = {"no-joint-majority": a_write_while_joint}


def told(plot: Plot, broken: frozenset[str]) -> tuple[str | None, str | None]:
    async def work(world: World) -> tuple[str | None, str | None]:
        story = Story(world, broken)
        await story.begin()
        return await plot(story)

    return run(work)


def test_every_scheduled_mutant_has_its_schedule() -> None:
    """None is named without a proof."""
    assert PLOTS.keys() == SCHEDULED.keys()


@pytest.mark.parametrize(
    "plot", [*PLOTS.values(), a_replica_that_comes_back, a_joiner_under_a_floor]
)
def test_a_ring_change_keeps_every_promise_on_a_hard_schedule(plot: Plot) -> None:
    """What was acknowledged is read, and what was deleted stays away."""
    expected, seen = told(plot, frozenset())
    assert seen == expected


@pytest.mark.parametrize("mutant", sorted(PLOTS))
def test_a_rule_left_out_breaks_its_schedule(mutant: str) -> None:
    """The same schedule without the rule: the wrong thing is read."""
    expected, seen = told(PLOTS[mutant], frozenset({mutant}))
    assert seen != expected
