"""What a scrape sees: valid exposition, right sums, labels from small fixed sets."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from core.http import Request
from core.metrics import BUCKETS_S, CONTENT_TYPE, Metrics


def scrape(metrics: Metrics, path: str = "/metrics"):
    request = Request("GET", path, "", {})
    return asyncio.run(metrics.handle(request))


def families(metrics: Metrics) -> dict:
    answer = scrape(metrics)
    assert answer.status == 200
    assert ("Content-Type", CONTENT_TYPE) in answer.headers
    return {f.name: f for f in text_string_to_metric_families(answer.body.decode())}


requests = st.lists(
    st.tuples(
        st.sampled_from(["s3", "swift"]),
        st.sampled_from(["GET", "PUT"]),
        st.sampled_from([200, 204, 404, 503]),
        st.floats(0, 20),
    ),
    max_size=30,
)


@given(requests)
def test_requests_are_counted_in_their_buckets(made) -> None:
    """Buckets are cumulative, the last is the count, and the sum is the sum of the times."""
    metrics = Metrics()
    for api, method, status, seconds in made:
        metrics.request(api, method, status, seconds)
    found = families(metrics).get("ringstack_request_seconds")
    samples = found.samples if found else []
    for api, method, status, _ in made:
        labels = {"api": api, "method": method, "status": f"{status // 100}xx"}
        times = [
            seconds
            for a, m, s, seconds in made
            if {"api": a, "method": m, "status": f"{s // 100}xx"} == labels
        ]
        mine = [s for s in samples if labels.items() <= s.labels.items()]
        buckets = {s.labels["le"]: s.value for s in mine if s.name.endswith("_bucket")}
        assert len(buckets) == len(BUCKETS_S) + 1
        for bound in BUCKETS_S:
            assert buckets[repr(bound)] == sum(seconds <= bound for seconds in times)
        assert buckets["+Inf"] == len(times)
        [total] = [s.value for s in mine if s.name.endswith("_sum")]
        assert abs(total - sum(times)) < 1e-6


def test_counters_and_gauges_have_their_names() -> None:
    """Gauges are asked at each scrape, so they are never stale."""
    value = [1.0]
    metrics = Metrics(lambda: {"device_0_free_bytes": value[0]})
    metrics.count("reads")
    metrics.count("reads", 4)
    assert families(metrics)["ringstack_reads"].samples[0].value == 5
    value[0] = 2.0
    assert families(metrics)["ringstack_device_0_free_bytes"].samples[0].value == 2.0


def test_only_metrics_are_there() -> None:
    """Nothing else is served on that listener."""
    assert scrape(Metrics(), "/").status == 404
    assert scrape(Metrics(), "/metrics/").status == 404
