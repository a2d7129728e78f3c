"""What a ring is told once: how finely it divides keys, its salt, and how it weighs its wishes. Pure.

Part power, seed and index replicas can never change: every key would move. Overload may.
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import Refused
from ring.policy import WIDTH_MAX

PART_POWER_MAX = 24
SEED_MAX = 2**64 - 1
OVERLOAD_MAX = 1e6


@dataclass(frozen=True, slots=True)
class Settings:
    """Valid once it exists; raises Refused("InvalidSettings") otherwise.

    There are 2^part_power partitions; `seed` salts the key hash; registers are kept on
    `index_replicas` devices. `overload` is how much more than its weight's share a device may be
    given so that replicas are kept apart (0.1 is 10 %); None is as much as it takes.
    """

    part_power: int
    seed: int
    index_replicas: int = 3
    overload: float | None = None

    def __post_init__(self) -> None:
        _require(
            0 <= self.part_power <= PART_POWER_MAX,
            f"part power {self.part_power} is not 0 to {PART_POWER_MAX}",
        )
        _require(0 <= self.seed <= SEED_MAX, f"seed {self.seed} is not a 64-bit number")
        _require(
            0 < self.index_replicas <= WIDTH_MAX,
            f"{self.index_replicas} index replicas are not 1 to {WIDTH_MAX}",
        )
        _require(
            self.overload is None or 0 <= self.overload <= OVERLOAD_MAX,
            f"overload {self.overload} is not a number from 0 to {OVERLOAD_MAX:g}",
        )

    @property
    def part_count(self) -> int:
        """Partitions in each table."""
        return 1 << self.part_power


def _require(condition: bool, message: str) -> None:  # noqa: FBT001
    if not condition:
        raise Refused("InvalidSettings", message)
