"""Counters and histograms in memory, shown as Prometheus text when somebody asks.

Counting is a dictionary addition, so that it costs the data path nothing; the exposition library is only
at work during a scrape. Label values come from small fixed sets, never from names or users.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from core.http import Request, Response

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[str, ...]
Gauges = Callable[[], dict[str, float]]


class Metrics:
    """The metrics of one process. `gauges` is asked at each scrape."""

    def __init__(self, gauges: Gauges | None = None) -> None:
        self._gauges = gauges
        self._requests: dict[Labels, list[float]] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._counters: dict[str, int] = {}

    def count(self, name: str, amount: int = 1) -> None:
        """Add to a counter."""
        self._counters[name] = self._counters.get(name, 0) + amount

    def request(self, api: str, method: str, status: int, seconds: float) -> None:
        """Record one answered request."""
        labels = (api, method, f"{status // 100}xx")
        row = self._requests.get(labels)
        if row is None:
            row = self._requests[labels] = [0.0] * (len(BUCKETS_S) + 2)
        row[bisect_left(BUCKETS_S, seconds)] += 1
        row[-1] += seconds

    def collect(self) -> Iterator[Metric]:
        """Families for the exposition."""
        histogram = HistogramMetricFamily(
            "ringstack_request_seconds",
            "Time until the answer's head was ready.",
            labels=("api", "method", "status"),
        )
        for labels, row in sorted(self._requests.items()):
            total = 0.0
            buckets: list[Any] = []
            for bound, value in zip((*BUCKETS_S, float("inf")), row[:-1], strict=True):
                total += value
                buckets.append(("+Inf" if bound == float("inf") else repr(bound), total))
            histogram.add_metric(labels, buckets, row[-1])
        yield histogram
        for name, value in sorted(self._counters.items()):
            yield CounterMetricFamily(f"ringstack_{name}", name.replace("_", " "), value=value)
        for name, gauge in sorted((self._gauges() if self._gauges else {}).items()):
            yield GaugeMetricFamily(f"ringstack_{name}", name.replace("_", " "), value=gauge)

    def describe(self) -> list[Metric]:
        """Nothing is registered ahead of time."""
        return []

    async def handle(self, request: Request) -> Response:
        """`GET /metrics` on the loopback listener."""
        if request.path != "/metrics":
            return Response(404, [("Content-Type", "text/plain")], b"only /metrics is here\n")
        return Response(200, [("Content-Type", CONTENT_TYPE)], generate_latest(self._registry))
