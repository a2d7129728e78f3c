"""When a daemon is started again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.restart import DELAYS_S, STABLE_S, after_exit


def test_the_first_crash_is_answered_at_once_and_later_ones_wait_longer() -> None:
    """Up to a limit, for as long as it goes on crashing."""
    crashes = 0
    delays = []
    for _ in range(len(DELAYS_S) + 3):
        delay_s, crashes = after_exit(crashes, 0.1)
        delays.append(delay_s)
    assert delays == [*DELAYS_S, *[DELAYS_S[-1]] * 3]
    assert delays[0] == 0


def test_a_daemon_that_stayed_up_begins_again() -> None:
    """What happened long ago is forgiven."""
    assert after_exit(50, STABLE_S) == (0.0, 1)
    assert after_exit(50, STABLE_S - 0.1) == (DELAYS_S[-1], 51)


@given(st.lists(st.floats(0, 100), max_size=60))
def test_a_crash_loop_is_bounded(uptimes: list[float]) -> None:
    """However it crashes, a restart never comes later than the largest delay."""
    crashes = 0
    for uptime_s in uptimes:
        delay_s, crashes = after_exit(crashes, uptime_s)
        assert 0 <= delay_s <= DELAYS_S[-1]
        assert crashes >= 1
