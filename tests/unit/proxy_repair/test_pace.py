"""How fast background work goes: full speed alone, a modest rate beside clients."""

from __future__ import annotations

import asyncio

from core.limits import MIB
from proxy.repair.pace import BUSY_BYTES_S_MIN, BUSY_CALLS_S, CALM_S, LATE_S, Pace
from tests.virtual import World, run


async def took_s(pace: Pace, byte_count: int, workers: int = 4) -> float:
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    async def work() -> None:
        for _ in range(16):
            await pace.spend(byte_count // 16 // workers)

    await asyncio.gather(*(work() for _ in range(workers)))
    return loop.time() - began_s


def test_all_workers_together_keep_to_the_rate() -> None:
    """However many there are."""

    async def main(world: World) -> None:
        del world
        for workers in (1, 8):
            pace = Pace(10 * MIB)
            took = await took_s(pace, 40 * MIB, workers)
            assert 3.5 < took < 5.5

    run(main)


def test_beside_clients_the_rate_follows_how_late_timers_fire() -> None:
    """It halves while processors are scarce, never to nothing, and comes back to the busy rate, never above."""
    pace = Pace(1000 * MIB, 10 * MIB)
    pace.saw(1, 0, 0.0)
    pace.saw(1, 1000, 1.0)

    def feel(late_s: float) -> float:
        for tick in range(400):
            pace.felt(late_s, tick * 0.05)
        return pace.rate_bytes_s(1.0)

    assert feel(0.0) == 10 * MIB
    assert feel(10 * LATE_S) == BUSY_BYTES_S_MIN
    assert feel(0.0) == 10 * MIB
    assert Pace(MIB // 8, MIB // 8).rate_bytes_s(0.0) == MIB // 8


def test_work_slows_down_while_clients_are_busy_and_speeds_up_after() -> None:
    """By the number of calls that clients make; an operator's limit stands over both rates."""

    async def main(world: World) -> None:
        del world
        loop = asyncio.get_running_loop()
        pace = Pace(1000 * MIB, 10 * MIB)
        pace.saw(1, 100, loop.time())
        await asyncio.sleep(1)
        pace.saw(1, 100 + int(BUSY_CALLS_S) - 1, loop.time())
        assert pace.rate_bytes_s(loop.time()) == 1000 * MIB
        await asyncio.sleep(1)
        pace.saw(1, 100 + 3 * int(BUSY_CALLS_S), loop.time())
        assert 1 * MIB < pace.rate_bytes_s(loop.time()) <= 10 * MIB
        await asyncio.sleep(CALM_S + 0.1)
        assert pace.rate_bytes_s(loop.time()) == 1000 * MIB
        pace.limit_bytes_s = 5 * MIB
        assert pace.rate_bytes_s(loop.time()) == 5 * MIB

    run(main)
