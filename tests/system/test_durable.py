"""The product's own fault test on several nodes, in its short form."""

from __future__ import annotations

import json
import signal
import subprocess

import pytest

from sim.live_network import NAMESPACES, PREFIX
from tests.running_cloud import BIN

pytestmark = pytest.mark.slow

SHORT = ("--nodes", "3", "--objects", "60", "--hold", "2", "--rate", "40", "--whole", "60")


def test_nothing_is_lost_on_three_nodes(tmp_path) -> None:
    """A node killed, one cut off, and everything killed at once, under load."""
    done = subprocess.run(
        [
            BIN / "ringstack",
            "check",
            "durable",
            *SHORT,
            "--nemesis",
            "kill,partition,kill-all",
            "--json",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path), **python_path()},
    )
    if "does not allow" in done.stderr or "need root" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["verdict"] == "valid"
    assert [row["trouble"] for row in report["troubles"]][-1] == "all objects at the end"
    assert all(row["history"] == "valid" for row in report["troubles"][:-1])


def test_a_check_that_is_told_to_stop_leaves_nothing(tmp_path) -> None:
    """Neither namespaces, nor processes, nor data."""
    with subprocess.Popen(
        [BIN / "ringstack", "check", "durable", *SHORT],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": str(tmp_path), **python_path()},
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        if "does not allow" in first or "need root" in first:
            pytest.skip(first.strip())
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert not list(NAMESPACES.glob(f"{PREFIX}-{process.pid}-*"))


def python_path() -> dict[str, str]:
    import os

    return {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
