"""`ringstack keys`: rotation and what is told about it; never a key."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

from cli.install import install
from cli.main import main
from core import keyring
from core.installation import Installation
from core.real import RealEnv


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_keys_rotate_and_are_listed(tmp_path: Path) -> None:
    """Numbers, roles and times."""
    cloud = Installation(tmp_path / "data")
    install(
        cloud, devices=("1",), listen="127.0.0.1", object_port=1, api_port=2, proxy_count=1
    )  # fmt: skip
    keyring.create(cloud.keys, RealEnv())
    data = ("--data", str(cloud.data))
    assert "key 2 seals tokens now; 3 keys are kept" in run("keys", "rotate", *data)
    rows = json.loads(run("keys", "list", "--json", *data))
    assert [(row["number"], row["role"]) for row in rows] == [
        (0, "staged"),
        (1, "secondary"),
        (2, "primary"),
    ]
    shown = run("keys", "list", *data)
    for path in keyring.numbered(cloud.keys).values():
        assert path.read_text().strip() not in shown
    for _ in range(5):
        run("keys", "rotate", "--keep", "3", *data)
    assert sorted(keyring.numbered(cloud.keys)) == [0, 6, 7]


def test_without_a_cloud_there_is_nothing_to_rotate(tmp_path: Path) -> None:
    """And nothing is made."""
    result = CliRunner().invoke(main, ["keys", "rotate", "--data", str(tmp_path / "none")])
    assert result.exit_code == 1
    assert not (tmp_path / "none").exists()
