"""A data directory: its files, its secrets, and whose process a pid is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from cli.install import install, new_secrets
from core.errors import Corrupt, NotFound
from core.installation import CONFIG, SECRETS, Installation


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path / "cloud")
    install(
        installation,
        devices=("2",),
        listen="127.0.0.1",
        object_port=8080,
        api_port=5000,
        proxy_count=1,
    )
    return installation


def test_nothing_is_there_before_the_first_start(tmp_path: Path) -> None:
    """And the message says what to do."""
    installation = Installation(tmp_path / "cloud")
    assert not installation.exists
    assert installation.supervisor_pid() is None
    with pytest.raises(NotFound, match="ringstack up"):
        installation.config()


def test_settings_and_secrets_are_read_back(made: Installation) -> None:
    """Secrets are only the owner's to read."""
    assert made.exists
    assert made.config().node
    assert len(made.secrets().cluster_key) == 32
    assert (made.data / SECRETS).stat().st_mode & 0o077 == 0
    assert made.data.stat().st_mode & 0o077 == 0


def test_secrets_that_others_can_read_are_refused(made: Installation) -> None:
    """Somebody may have copied them."""
    (made.data / SECRETS).chmod(0o640)
    with pytest.raises(Corrupt, match="chmod 600"):
        made.secrets()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"unknown": 1}', b"\xff"])
def test_a_damaged_file_is_named(made: Installation, text: bytes) -> None:
    """An unknown key is damage too: it would be a setting that does nothing."""
    (made.data / CONFIG).write_bytes(text)
    with pytest.raises(Corrupt, match=CONFIG):
        made.config()


def test_no_two_installations_share_a_secret() -> None:
    """Nothing is a default."""
    one, two = new_secrets(), new_secrets()
    for field in ("cluster_key", "token_key", "access_key", "secret_key", "key"):
        assert getattr(one, field) != getattr(two, field)
    assert one.secret_key not in repr(msgspec.structs.replace(one, secret_key=""))


def test_a_pid_is_ours_only_if_it_runs_our_module_for_our_data(made: Installation) -> None:
    """A stale file after a restart may name another cloud's supervisor."""
    script = "import sys; sys.stdin.read()"
    for arguments, ours in (
        (["cli.supervisor", "--data", str(made.data)], True),
        (["cli.supervisor", "--data", "/somewhere/else"], False),
        (["cli.supervisor", "--data", str(made.data) + "2"], False),
        (["other", "--data", str(made.data)], False),
    ):
        command = [sys.executable, "-c", script, *arguments]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
            made.pid_file.write_text(f"{process.pid}\n")
            while b"stdin" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
                os.sched_yield()
            assert (made.supervisor_pid() == process.pid) == ours
    assert made.supervisor_pid() is None
    made.pid_file.write_text("not a number")
    assert made.supervisor_pid() is None
