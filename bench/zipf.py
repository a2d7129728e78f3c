"""Keys drawn as people ask for them: few often, most seldom. Pure.

Rank r (from 1) has weight 1 / r^s. The cumulative weights are made once, a draw is one binary search.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate


class Zipf:
    """Ranks 0 to `count` - 1; `exponent` 0 is uniform, 1 is Zipf's own law."""

    def __init__(self, count: int, exponent: float = 1.0) -> None:
        if count < 1 or exponent < 0:
            raise ValueError("a Zipf law needs one rank or more and an exponent of 0 or more")
        weights = [float((rank + 1) ** -exponent) for rank in range(count)]
        self._sums = list(accumulate(weights))

    def rank(self, chance: float) -> int:
        """The rank that a uniform `chance` (0 <= chance < 1) falls on."""
        return min(bisect_right(self._sums, chance * self._sums[-1]), len(self._sums) - 1)

    def share(self, rank: int) -> float:
        """The probability of a rank."""
        before = self._sums[rank - 1] if rank else 0.0
        return (self._sums[rank] - before) / self._sums[-1]
