"""A round asks as few as it may, the others when it must, and leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

from core.frame import Frame
from core.link import LOST
from objectd import wire
from proxy.store.cluster import Target
from proxy.store.majority import plain
from proxy.store.round import SLOW_FOR_S, Round, preferred
from tests.virtual import World, run


class FakeLink:
    """A link whose answer comes after a delay, at once, or never."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay_s: float | None, status: int) -> None:
        self.loop = loop
        self.delay_s = delay_s
        self.status = status
        self.up = status != LOST
        self.asked_at: list[float] = []
        self.open: set[int] = set()
        self.slow_until_s: dict[int, float] = {}

    def call(self, operation: int, device: int, head: bytes, body: Any, reply: Any) -> int:
        number = len(self.asked_at)
        self.asked_at.append(self.loop.time())
        frame = Frame(number, operation, self.status, device, 0, head, b"")
        if self.delay_s == 0:
            reply(frame)
        else:
            self.open.add(number)
            if self.delay_s is not None:
                self.loop.call_later(self.delay_s, self._answer, number, frame, reply)
        return number

    def _answer(self, number: int, frame: Frame, reply: Any) -> None:
        if number in self.open:
            self.open.discard(number)
            reply(frame)

    def forget(self, number: int) -> None:
        self.open.discard(number)


def rounds(answers: list[tuple[float | None, int]], **options: Any):
    """Run a round over replicas with these (delay, status); returns replies, links and the time taken."""

    async def work(world: World):
        links = [FakeLink(world.loop, *answer) for answer in answers]
        targets: Any = [Target(n, link, link) for n, link in enumerate(links)]  # type: ignore[arg-type]
        began = world.loop.time()
        replies = await Round(
            targets, 1, lambda position: b"%d" % position, enough=plain(3).granted
        ).run(timeout_s=3.0, **options)
        await asyncio.sleep(0)
        asked = [[round(at - began, 4) for at in link.asked_at] for link in links]
        assert all(not link.open for link in links), "a call was left open"
        return replies, asked, round(world.loop.time() - began, 4)

    return run(work)


OK, FAILED = wire.OK, wire.FAILED


def test_only_those_asked_first_are_asked_when_they_answer() -> None:
    """The third replica is spared."""
    replies, asked, took_s = rounds([(0.01, OK), (0.01, OK), (0.01, OK)], first=[0, 1])
    assert sorted(replies) == [0, 1]
    assert asked == [[0.0], [0.0], []]
    assert took_s == 0.01


def test_the_others_are_asked_when_time_passes() -> None:
    """A silent replica costs the hedge, not the timeout."""
    replies, asked, took_s = rounds(
        [(None, OK), (0.01, OK), (0.01, OK)], first=[0, 1], hedge_s=0.05
    )
    assert sorted(replies) == [1, 2]
    assert asked[2] == [0.05]
    assert took_s == 0.06


def test_the_others_are_asked_at_once_when_one_refuses() -> None:
    """A failure is known, so nothing is waited for."""
    for delay in (0, 0.01):
        _, asked, took_s = rounds([(delay, FAILED), (0.01, OK), (0.01, OK)], first=[0, 1])
        assert asked[2] == [delay]
        assert took_s == round(delay + 0.01, 4)


def test_a_round_ends_when_everybody_has_answered() -> None:
    """Nobody else can change anything."""
    replies, _, took_s = rounds([(0.01, FAILED), (0.02, FAILED), (0.03, OK)])
    assert sorted(replies) == [0, 1, 2]
    assert took_s == 0.03


def test_a_round_ends_at_its_timeout_with_what_came() -> None:
    """Late answers are dropped, and their calls forgotten."""
    replies, _, took_s = rounds([(None, OK), (None, OK), (0.5, OK)])
    assert sorted(replies) == [2]
    assert took_s == 3.0


def test_a_round_whose_links_are_all_down_ends_at_once() -> None:
    """503 need not wait."""
    replies, _, took_s = rounds([(0, LOST)] * 3, first=[0, 1])
    assert [frame.status for frame in replies.values()] == [LOST] * 3
    assert took_s == 0


def test_those_that_are_connected_are_preferred_in_turn() -> None:
    """Load spreads; a replica that is down is asked only when too few are up."""

    async def work(world: World) -> None:
        def targets(*up: bool) -> Any:
            links = [FakeLink(world.loop, 0, OK if one else LOST) for one in up]
            return [Target(n, link, link) for n, link in enumerate(links)]  # type: ignore[arg-type]

        assert [preferred(targets(True, True, True), plain(3), turn) for turn in range(3)] == [
            [0, 1],
            [1, 2],
            [2, 0],
        ]
        assert preferred(targets(False, True, True), plain(3), 0) == [1, 2]
        assert preferred(targets(False, False, True), plain(3), 0) == [2, 0]
        assert len(preferred(targets(False, False, False), plain(3), 1)) == 2

    run(work)


def test_those_that_kept_somebody_waiting_are_asked_last_for_a_while() -> None:
    """Their silence costs one hedge, not one for each round; then they are tried again."""

    async def work(world: World) -> None:
        links = [FakeLink(world.loop, None if n == 0 else 0.001, OK) for n in range(3)]
        targets: Any = [Target(n, link, link) for n, link in enumerate(links)]  # type: ignore[arg-type]
        for expected_s in (0.051, 0.001):
            began = world.loop.time()
            first = preferred(targets, plain(3), 0)
            await Round(targets, 1, lambda _: b"", enough=plain(3).granted).run(
                first=first, timeout_s=3.0
            )
            assert round(world.loop.time() - began, 4) == expected_s
        assert preferred(targets, plain(3), 0) == [1, 2]
        await asyncio.sleep(SLOW_FOR_S)
        assert preferred(targets, plain(3), 0) == [0, 1]

    run(work)
