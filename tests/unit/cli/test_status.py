"""What `status`, `logs` and `down` say of a cloud that is not there or half there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from cli.main import main
from cli.status import processes, pss_bytes
from cli.supervisor import DaemonState
from core.installation import Installation


def invoke(*arguments: str, exit_code: int = 0) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == exit_code, result.output
    return result.output


def test_a_cloud_that_is_down_is_said_to_be(tmp_path: Path) -> None:
    """By status in both forms, and by down."""
    data = str(tmp_path / "none")
    assert "ringstack up" in invoke("status", "--data", data)
    assert json.loads(invoke("status", "--data", data, "--json")) == {
        "running": False,
        "processes": [],
    }
    assert invoke("down", "--data", data) == "not running\n"


def test_state_left_by_a_dead_supervisor_is_not_believed(tmp_path: Path) -> None:
    """Nobody keeps it up to date any more."""
    installation = Installation(tmp_path)
    installation.run.mkdir()
    state = DaemonState("objectd-0", os.getpid(), {}, 0, ready=True)
    installation.state_file.write_bytes(msgspec.json.encode([state]))
    installation.pid_file.write_text(f"{os.getpid()}\n")
    assert processes(installation) == []


def test_memory_is_the_proportional_set_size() -> None:
    """Shared pages count once over all processes; a process that has gone has none."""
    assert pss_bytes(os.getpid()) > 1024 * 1024
    assert pss_bytes(2**30) == 0


def test_logs_show_the_end_of_each(tmp_path: Path) -> None:
    """So many lines of each daemon, or of one; a name that does not exist is refused."""
    logs = tmp_path / "logs"
    logs.mkdir()
    for name in ("objectd-0", "proxy-0"):
        (logs / f"{name}.log").write_bytes(b"".join(b"%d \xff\n" % n for n in range(50)))
    assert invoke("logs", "--data", str(tmp_path), "-n", "2").splitlines() == [
        "objectd-0: 48 �",
        "objectd-0: 49 �",
        "proxy-0: 48 �",
        "proxy-0: 49 �",
    ]
    only = invoke("logs", "--data", str(tmp_path), "proxy-0", "-n", "1")
    assert only == "proxy-0: 49 �\n"
    assert "no daemon" in invoke("logs", "--data", str(tmp_path), "nobody", exit_code=1)
    assert invoke("logs", "--data", str(tmp_path), "-n", "0") == ""


@pytest.mark.parametrize("command", ["status", "env", "logs", "down", "doctor", "up"])
def test_every_command_explains_itself(command: str) -> None:
    """In a few lines, with the data directory it takes."""
    text = invoke(command, "--help")
    assert "--data" in text
    assert len(text.splitlines()) < 30
