"""The product's own fault test on several nodes, in its short form."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.running_cloud import BIN

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("system")]

SHORT = ("--nodes", "3", "--objects", "60", "--hold", "3", "--rate", "40", "--whole", "60")


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


def python_path() -> dict[str, str]:
    import os

    return {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
