"""Child process of `bench.ring`: builds the benchmark's rings with Ringstack.

Reads a JSON task from standard input, writes each ring's table as raw 16-bit numbers, partition by
partition, and prints JSON with times and peak memory. `bench.ring_swift` does the same with Swift.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from ring.build import build
from ring.device import Device
from ring.draft import Draft
from ring.policy import Policy
from ring.settings import Settings


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Build the first ring, then each change of it."""
    policies = (Policy(0, "bench", "replicated", replicas=task["replicas"], is_default=True),)
    settings = Settings(task["part_power"], task["seed"], index_replicas=task["replicas"])
    first_devices = tuple(Device(**fields) for fields in task["devices"])
    started = time.perf_counter()
    first = build(Draft(settings, policies, first_devices), None)
    results = {"first build": {"seconds": time.perf_counter() - started}}
    _save(task, "first build", first.epoch.tables[task["replicas"]])
    for name, added in task["changes"].items():
        devices = (*first_devices, *(Device(**fields) for fields in added))
        started = time.perf_counter()
        change = build(Draft(settings, policies, devices), first.epoch)
        results[name] = {"seconds": time.perf_counter() - started}
        _save(task, name, change.epoch.tables[task["replicas"]])
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"results": results, "peak_mib": peak_kib / 1024}


def _save(task: dict[str, Any], name: str, table: memoryview) -> None:
    (Path(task["directory"]) / name).write_bytes(table.tobytes())


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
