from __future__ import annotations

import asyncio
from itertools import count

from bench import load
from bench.connection import Answer, Failed
from bench.load import FAILURES_IN_A_ROW_MAX

GOOD = Answer(200, b"", b"")


def run(action, numbers, *, check=lambda number, answer: None, connections=4, seconds=60.0):
    return asyncio.run(load.run(action, check, numbers, connections=connections, seconds=seconds))


def test_each_number_is_done_once_and_the_run_ends_with_them():
    """Whatever the number of connections."""

    async def action(number):
        await asyncio.sleep(0)
        return GOOD

    tally = run(action, iter(range(100)))
    assert sorted(tally.done) == list(range(100))
    assert len(tally.latencies) == 100
    assert not tally.errors
    assert tally.rate == 100 / tally.seconds


def test_failures_and_bad_answers_are_counted_by_reason_and_not_as_operations():
    """Every third fails, every third answers badly."""

    async def action(number):
        if number % 3 == 0:
            raise Failed("ConnectionFailed")
        return Answer(500 if number % 3 == 1 else 200, b"", b"")

    def check(number, answer):
        return None if answer.status == 200 else f"answered {answer.status}"

    tally = run(action, iter(range(30)), check=check)
    assert tally.errors == {"ConnectionFailed": 10, "answered 500": 10}
    assert sorted(tally.done) == list(range(2, 30, 3))


def test_a_dead_server_ends_the_run():
    """Each connection gives up after so many failures in a row."""

    async def action(number):
        raise Failed("NoConnection")

    tally = run(action, count(), connections=2)
    assert tally.errors == {"NoConnection": 2 * FAILURES_IN_A_ROW_MAX}
    assert tally.rate == 0


def test_time_ends_a_run_after_the_request_under_way():
    """With no time at all each connection still finishes one."""

    async def action(number):
        return GOOD

    tally = run(action, count(), connections=3, seconds=0.0)
    assert len(tally.latencies) == 3


def test_rounds_add_up():
    """Two rounds of one case are one case of twice the length."""

    async def action(number):
        return GOOD

    first, second = run(action, iter(range(5))), run(action, iter(range(5, 7)))
    seconds = first.seconds + second.seconds
    first.add(second)
    assert sorted(first.done) == list(range(7))
    assert first.seconds == seconds
