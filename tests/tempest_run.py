"""Tempest, OpenStack's own conformance suite, in a virtual environment of its own that is kept in `.venv/tempest`."""

from __future__ import annotations

import os
import re
import subprocess
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
VENV = ROOT / ".venv" / "tempest"
TEMPEST = "tempest==47.0.0"
RESULT = re.compile(
    r"^\{\d+\} (?P<name>(?:setUpClass \(|tearDownClass \()?[\w.]+).*\.\.\. (?P<result>ok|FAILED|SKIPPED)",
    re.MULTILINE,
)


def commands() -> Path:
    """The directory of tempest's commands; installed at the first use."""
    found = VENV / "bin"
    if not (found / "tempest").exists():
        venv.create(VENV, with_pip=True, clear=True)
        subprocess.run([found / "pip", "install", "--quiet", TEMPEST], check=True, timeout=600)
    return found


def run(
    workspace: Path, configuration: str, regex: str, *, concurrency: int, timeout_s: float
) -> tuple[dict[str, str], str]:
    """Results (`ok`, `FAILED`, `SKIPPED`) by name of test or of a class's set-up, and the whole output."""
    own = {**os.environ, "HOME": str(workspace.parent)}  # where it keeps a list of workspaces
    tempest = commands() / "tempest"
    subprocess.run(
        [tempest, "init", workspace], check=True, capture_output=True, env=own, timeout=120
    )
    (workspace / "etc" / "tempest.conf").write_text(configuration)
    done = subprocess.run(
        [tempest, "run", "--regex", regex, "--concurrency", str(concurrency)],
        cwd=workspace,
        env=own,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    output = done.stdout + done.stderr
    return {found["name"]: found["result"] for found in RESULT.finditer(done.stdout)}, output
