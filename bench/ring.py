"""`ringstack bench ring`: building and rebalancing a large ring, beside Swift's builder if given.

The ring has 2^18 partitions, 3 replicas and 1,000 equal devices: 5 zones of 20 nodes of 10. Three
things are measured: the first build, ten devices joining in one new node, and two joining in each
zone. Each builder runs in a process of its own; balance, dispersion and the number of moved
replicas are computed here, with the same code for both. The least that must move is the sum of
what each device gains by its share.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from array import array
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ring.device import Device
from ring.report import count_crowded
from ring.target import weight_shares
from ring.tree import grow

ZONES, NODES, DEVICES = 5, 20, 10
REPLICAS = 3
HERE = Path(__file__).parent


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print a table, or JSON with `--json`."""
    parser = argparse.ArgumentParser(prog="ringstack bench ring", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--part-power", type=int, default=18)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--peer-python", type=Path, help="a Python that can import swift")
    options = parser.parse_args(argv)
    report = measure(options.part_power, options.seed, peer_python=options.peer_python)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        _show(report)
    return 0


def measure(part_power: int, seed: int, *, peer_python: Path | None) -> dict[str, Any]:
    """All figures, ours and the peer's, from one run."""
    task: dict[str, Any] = {
        "part_power": part_power,
        "replicas": REPLICAS,
        "seed": seed,
        "devices": [_fields(*place) for place in _places()],
        "changes": {"10 in a new node": _new_node(), "2 in each zone": _two_per_zone()},
    }
    builders = {"ringstack": _run([sys.executable, "-m", "bench.ring_ours"], task)}
    if peer_python is not None:
        script = HERE / "ring_swift.py"
        builders["swift"] = _run([str(peer_python), str(script)], task)
    return {
        "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
        "ring": {"part_power": part_power, "replicas": REPLICAS, "devices": len(task["devices"])},
        "builders": builders,
    }


def _run(command: list[str], task: dict[str, Any]) -> dict[str, Any]:
    """Run one builder and measure the tables it leaves."""
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            command,
            input=json.dumps(task | {"directory": directory}),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=HERE.parent,
        )
        report: dict[str, Any] = json.loads(done.stdout)
        first = _read(Path(directory) / "first build")
        for name in report["results"]:
            added = task["changes"].get(name, [])
            devices = [Device(**fields) for fields in (*task["devices"], *added)]
            table = _read(Path(directory) / name)
            figures = judge(devices, table, before=first if added else None)
            report["results"][name].update(figures)
    return report


def judge(
    devices: Sequence[Device], table: array[int], *, before: array[int] | None
) -> dict[str, float]:
    """Balance and dispersion in percent; with `before`, moved replicas and their least number."""
    part_count = len(table) // REPLICAS
    weights = [device.weight for device in devices]
    wanted = [float(share * part_count) for share in weight_shares(weights, REPLICAS)]
    held = Counter(table)
    worst = max(abs(held[place] - share) / share for place, share in enumerate(wanted))
    crowded = count_crowded(table, REPLICAS, grow(devices), weights)
    result = {"balance_percent": 100 * worst, "dispersion_percent": 100 * crowded / part_count}
    if before is not None:
        had = Counter(before)
        least = sum(max(0.0, share - had[place]) for place, share in enumerate(wanted))
        moved = sum(
            len(set(new) - set(old)) for old, new in zip(_rows(before), _rows(table), strict=True)
        )
        result |= {"moved": moved, "least": round(least, 1), "moved_to_least": moved / least}
    return result


def _rows(table: array[int]) -> list[tuple[int, ...]]:
    return list(zip(*(table[replica::REPLICAS] for replica in range(REPLICAS)), strict=True))


def _read(path: Path) -> array[int]:
    table = array("H")
    table.frombytes(path.read_bytes())
    return table


def _places() -> list[tuple[int, int, int]]:
    """(id, zone, node) of each device."""
    return [
        (number, number // (NODES * DEVICES), number // DEVICES % NODES)
        for number in range(ZONES * NODES * DEVICES)
    ]


def _fields(device_id: int, zone: int, node: int) -> dict[str, Any]:
    return {
        "id": device_id,
        "name": f"d{device_id}",
        "region": 1,
        "zone": zone + 1,
        "node": f"n{zone}-{node}",
        "address": f"tcp:10.{zone}.0.{node + 1}:6200",
        "path": f"/srv/d{device_id}",
        "weight": 100.0,
    }


def _new_node() -> list[dict[str, Any]]:
    start = ZONES * NODES * DEVICES
    return [_fields(start + number, 0, NODES) for number in range(10)]


def _two_per_zone() -> list[dict[str, Any]]:
    start = ZONES * NODES * DEVICES
    return [_fields(start + number, number // 2, number % 2) for number in range(2 * ZONES)]


def _show(report: dict[str, Any]) -> None:
    print(f"{'':12}{'':18}{'seconds':>9}{'balance %':>11}{'dispersion %':>14}{'moved/least':>13}")
    for builder, part in report["builders"].items():
        for name, result in part["results"].items():
            ratio = result.get("moved_to_least")
            print(
                f"{builder:12}{name:18}{result['seconds']:9.2f}{result['balance_percent']:11.3f}"
                f"{result['dispersion_percent']:14.3f}{'' if ratio is None else f'{ratio:13.4f}'}"
            )
        print(f"{builder:12}peak memory {part['peak_mib']:.0f} MiB")


if __name__ == "__main__":
    sys.exit(main())
