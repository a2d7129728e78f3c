"""Child process of `bench.ring`: builds the benchmark's rings with Swift's RingBuilder.

Runs under the peer's own Python, so it imports nothing of ours. Same input and output as
`bench.ring_ours`.
"""

from __future__ import annotations

import copy
import json
import resource
import sys
import time
from array import array
from pathlib import Path
from typing import Any

from swift.common.ring.builder import RingBuilder


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Build the first ring, then each change of it."""
    builder = RingBuilder(task["part_power"], task["replicas"], 1)
    for fields in task["devices"]:
        builder.add_dev(_device(fields))
    started = time.perf_counter()
    builder.rebalance(seed=task["seed"])
    results = {"first build": _result(builder, started)}
    _save(task, "first build", builder)
    for name, added in task["changes"].items():
        changed = copy.deepcopy(builder)
        changed.pretend_min_part_hours_passed()
        for fields in added:
            changed.add_dev(_device(fields))
        started = time.perf_counter()
        changed.rebalance(seed=task["seed"])
        results[name] = _result(changed, started)
        _save(task, name, changed)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"results": results, "peak_mib": peak_kib / 1024}


def _result(builder: Any, started: float) -> dict[str, float]:
    return {
        "seconds": time.perf_counter() - started,
        "own_balance": builder.get_balance(),
        "own_dispersion": builder.dispersion,
    }


def _device(fields: dict[str, Any]) -> dict[str, Any]:
    _, host, port = fields["address"].split(":")
    return {
        "id": fields["id"],
        "region": fields["region"],
        "zone": fields["zone"],
        "ip": host,
        "port": int(port),
        "device": fields["name"],
        "weight": fields["weight"],
    }


def _save(task: dict[str, Any], name: str, builder: Any) -> None:
    rows = zip(*builder._replica2part2dev, strict=True)  # noqa: SLF001
    table = array("H", (device for row in rows for device in row))
    (Path(task["directory"]) / name).write_bytes(table.tobytes())


if __name__ == "__main__":
    print(json.dumps(run(json.load(sys.stdin))))
