"""One at a time per key, in order, whoever gives up meanwhile; and nothing is left over."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from proxy.store.turnstile import Turnstile
from tests.virtual import World, run

visitors = st.lists(
    st.tuples(
        st.sampled_from("ab"),  # key
        st.integers(0, 30),  # arrives at (ms)
        st.integers(0, 20),  # holds the turn for
        st.one_of(st.none(), st.integers(0, 40)),  # is cancelled at
        st.sampled_from((5, 1000)),  # patience
    ),
    min_size=1,
    max_size=10,
)


@given(visitors)
def test_turns_exclude_each_other_and_come_in_order(plan) -> None:
    """Two never hold one key; of those who get a turn, first come is first served."""
    inside: dict[str, int] = {"a": 0, "b": 0}
    served: dict[str, list[int]] = {"a": [], "b": []}
    arrived: dict[str, list[int]] = {"a": [], "b": []}

    async def visit(gate: Turnstile, number: int, key: str, at: int, hold: int, patience: int):
        await asyncio.sleep(at / 1000 + number / 1e6)
        arrived[key].append(number)
        async with gate.turn(key, patience / 1000):
            inside[key] += 1
            assert inside[key] == 1
            served[key].append(number)
            try:
                await asyncio.sleep(hold / 1000)
            finally:
                inside[key] -= 1

    async def work(world: World) -> Turnstile:
        gate = Turnstile()
        tasks = []
        for number, (key, at, hold, gives_up, patience) in enumerate(plan):
            task = world.loop.create_task(visit(gate, number, key, at, hold, patience))
            tasks.append(task)
            if gives_up is not None:
                world.loop.call_later(gives_up / 1000 + 5e-7, task.cancel)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        wrong = [r for r in results if isinstance(r, AssertionError)]
        assert not wrong, wrong
        return gate

    gate = run(work)
    assert gate._queues == {}
    for key in "ab":
        order = [number for number in arrived[key] if number in served[key]]
        assert served[key] == order


def test_a_turn_that_does_not_come_in_time_is_refused() -> None:
    """The one who waits gives up; the one who holds goes on."""

    async def work(_: World) -> str:
        gate = Turnstile()
        async with gate.turn("k", 1):
            try:
                async with gate.turn("k", 0.1):
                    return "entered"
            except TimeoutError:
                return "refused"

    assert run(work) == "refused"
