"""Percentiles of measured latencies. Pure.

Nearest rank: the smallest measured value that at least that share of the values does not exceed. So a
percentile is always something that happened, and p100 is the slowest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """Value at `share` (0 to 1) of values in ascending order; 0 when there are none."""
    if not ordered:
        return 0.0
    if not 0 <= share <= 1:
        raise ValueError("a share is between 0 and 1")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def percentiles_ms(seconds: Iterable[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds of latencies in seconds."""
    ordered = sorted(seconds)
    return quantile(ordered, 0.50) * 1000, quantile(ordered, 0.99) * 1000
