"""`ringstack bench mixed`: prepares the objects, runs locust without its page, sums up what it saw.

locust keeps latencies rounded (to two figures above 100 ms), which is enough for percentiles.
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from bench import load
from bench.client import Client
from bench.connection import Answer, Failed
from bench.key import KEY_COUNT, key_body, key_name
from bench.object import remove
from bench.target import Target
from cli.env import variables
from core.installation import Installation

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "requirements-bench.txt"
FILL_CONNECTIONS = 16
STOP_S = 60


class Line(NamedTuple):
    """One kind of request through one API; latencies in ms."""

    what: str
    requests: int
    failures: int
    rate: float
    p50_ms: float
    p99_ms: float


class MixedReport(NamedTuple):
    """What the run came to; CPU of the server's processes."""

    lines: list[Line]
    seconds: float
    clients: int
    cpu_ms: float
    memory_bytes: int
    reasons: dict[str, int]

    @property
    def failures(self) -> int:
        """Requests that went wrong."""
        return sum(line.failures for line in self.lines)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "clients": self.clients,
            "seconds": self.seconds,
            "requests": sum(line.requests for line in self.lines),
            "failures": self.failures,
            "reasons": self.reasons,
            "server_cpu_ms_per_request": round(self.cpu_ms, 3),
            "memory_bytes": self.memory_bytes,
            "requests_by_kind": [line._asdict() for line in self.lines],
        }


def has_locust() -> bool:
    """It can be imported."""
    return importlib.util.find_spec("locust") is not None


def install_locust() -> None:
    """Install the pinned versions into this virtual environment. Raises Failed."""
    wanted = ["-r", str(REQUIREMENTS)] if REQUIREMENTS.exists() else ["locust"]
    if sys.prefix == sys.base_prefix:
        raise Failed("NoLocust", f"locust is missing: pip install {' '.join(wanted)}")
    command = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if subprocess.run([*command, *wanted], check=False).returncode:
        raise Failed("NoLocust", f"locust could not be installed: pip install {' '.join(wanted)}")


async def fill(client: Client, container: str) -> None:
    """Store every key once. Raises Failed."""
    (await client.make_container(container)).expect()

    async def put(number: int) -> Answer:
        return (await client.put(container, key_name(number), key_body(number))).expect()

    tally = await load.run(
        put,
        lambda _number, _answer: None,
        iter(range(KEY_COUNT)),
        connections=FILL_CONNECTIONS,
        seconds=600,
    )
    if tally.errors:
        raise Failed("NotFilled", f"could not store the objects: {dict(tally.errors)}")


async def prepare(target: Target, container: str) -> None:
    """Fill a container. Raises Failed."""
    async with target.client as client:
        await fill(client, container)


async def clean(target: Target, container: str) -> None:
    """Remove it."""
    async with target.client:
        await remove(target, container)


def new_container() -> str:
    """A name that nobody has."""
    return f"bench-mixed-{secrets.token_hex(4)}"


def run(
    installation: Installation, target: Target, container: str, *, seconds: float, clients: int
) -> MixedReport:
    """Run locust on a filled container. Raises Failed."""
    cpu = target.cpu_seconds()
    entries, reasons = run_locust(installation, container, seconds=seconds, clients=clients)
    cpu = target.cpu_seconds() - cpu
    lines = [line_of(entry) for entry in sorted(entries, key=lambda entry: str(entry["name"]))]
    requests = sum(line.requests for line in lines)
    cpu_ms = 1000 * cpu / requests if requests else 0.0
    return MixedReport(lines, seconds, clients, cpu_ms, target.memory_bytes(), reasons)


def run_locust(
    installation: Installation, container: str, *, seconds: float, clients: int
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """What locust counted for each kind of request, and its failures. Raises Failed."""
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "bench" / "locustfile.py")]
    command += ["--headless", "--json", "--only-summary", "--loglevel", "ERROR"]
    command += ["-u", str(clients), "-r", str(clients), "-t", f"{max(1, round(seconds))}s"]
    environment = {
        **os.environ,
        **variables(installation),
        "BENCH_CONTAINER": container,
        "PYTHONPATH": str(ROOT),
    }
    with tempfile.TemporaryDirectory() as directory:
        command += ["--csv", f"{directory}/run"]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            timeout=seconds + STOP_S,
            env=environment,
        )
        try:
            return json.loads(done.stdout), failures_in(Path(directory) / "run_failures.csv")
        except (json.JSONDecodeError, OSError):
            raise Failed("LocustFailed", f"locust: {done.stderr.strip()[-800:]}") from None


def failures_in(path: Path) -> dict[str, int]:
    """Locust's list of failures: how often each reason was met."""
    with path.open(newline="") as file:
        return {
            f"{row['Name']}: {row['Error']}": int(row["Occurrences"])
            for row in csv.DictReader(file)
        }


def line_of(entry: dict[str, Any]) -> Line:
    """A line of the report from an entry of locust's."""
    requests = int(entry["num_requests"])
    span = float(entry["last_request_timestamp"] or 0) - float(entry["start_time"] or 0)
    times = {float(ms): int(number) for ms, number in entry["response_times"].items()}
    return Line(
        str(entry["name"]),
        requests,
        int(entry["num_failures"]),
        requests / span if span > 0 else 0.0,
        quantile_of(times, 0.50),
        quantile_of(times, 0.99),
    )


def quantile_of(times: dict[float, int], share: float) -> float:
    """Nearest rank in counted values."""
    rank = share * sum(times.values())
    passed = 0
    for value in sorted(times):
        passed += times[value]
        if passed >= rank:
            return value
    return 0.0
