"""When to start a daemon again, as a table of delays. Pure.

A crash is answered at once the first time; repeated crashes back off up to a limit, and a daemon that
stayed up for a while begins again at the start. A daemon that never became ready does not hold the
others up.
"""

from __future__ import annotations

from typing import NamedTuple

DELAYS_S = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
STABLE_S = 10.0


class Restart(NamedTuple):
    """How long to wait before the next start, and how many crashes in a row there were."""

    delay_s: float
    crashes: int


def after_exit(crashes: int, uptime_s: float) -> Restart:
    """Decide after an exit that nobody asked for. `crashes` counts earlier ones in a row."""
    crashes = 0 if uptime_s >= STABLE_S else crashes
    return Restart(DELAYS_S[min(crashes, len(DELAYS_S) - 1)], crashes + 1)
