"""Backups in another cloud: one cloud's volumes, another cloud's S3, and the record that leads back."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.running_cloud import RunningCloud

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def away(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """The cloud that keeps backups."""
    running = RunningCloud(tmp_path_factory.mktemp("away") / "data")
    running.up()
    yield running
    running.end()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, away: RunningCloud) -> Iterator[RunningCloud]:
    """The cloud whose volumes are backed up."""
    data = tmp_path_factory.mktemp("home") / "data"
    target = {
        "endpoint": away.env["AWS_ENDPOINT_URL"],
        "bucket": "volumes-of-home",
        "access_key": away.env["AWS_ACCESS_KEY_ID"],
        "secret_key": away.env["AWS_SECRET_ACCESS_KEY"],
        "region": away.env["AWS_DEFAULT_REGION"],
    }
    path = data / "policy" / "block-settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"backup_target": target}))
    path.chmod(0o600)
    running = RunningCloud(data)
    running.up()
    yield running
    running.end()


def within(seconds: float, what: Callable[[], bool]) -> bool:
    """Ask again until it is true."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not what():
        if time.monotonic() > deadline:
            return False
        pause.wait(0.3)
    return True


def test_backups_go_to_another_cloud_and_come_back(
    home: RunningCloud, away: RunningCloud, tmp_path: Path
) -> None:
    """Chunks and manifest are objects of the other cloud's bucket; a restored volume holds the same bytes."""

    def run(*words: str | Path) -> str:
        return home.run("openstack", "--os-volume-api-version", "3.70", *words).stdout.strip()

    def available(*words: str) -> bool:
        return within(
            60, lambda: run("volume", *words, "-f", "value", "-c", "status") == "available"
        )

    path = tmp_path / "image.raw"
    path.write_bytes(os.urandom(5 << 20))
    bare = ("--disk-format", "raw", "--container-format", "bare")
    run("image", "create", *bare, "--file", path, "seed")
    run("volume", "create", "--size", "1", "--image", "seed", "data")
    assert available("show", "data")
    run("volume", "backup", "create", "--name", "kept", "data")
    assert available("backup", "show", "kept")
    listed = away.run("aws", "s3", "ls", "--recursive", "s3://volumes-of-home").stdout
    assert len(listed.strip().splitlines()) == 3
    backup = run("volume", "backup", "show", "kept", "-f", "value", "-c", "id")
    run("volume", "create", "--backup", backup, "--size", "1", "back")
    assert available("show", "back")
    run("image", "create", "--volume", "back", *bare, "again")
    target = tmp_path / "again.raw"
    assert within(
        60, lambda: run("image", "show", "again", "-f", "value", "-c", "status") == "active"
    )
    run("image", "save", "--file", target, "again")
    assert target.read_bytes()[: 5 << 20] == path.read_bytes()
    run("volume", "backup", "delete", "kept")
    assert within(60, lambda: run("volume", "backup", "list", "-f", "value") == "")
    assert (
        away.run("aws", "s3", "ls", "--recursive", "s3://volumes-of-home", check=False).stdout == ""
    )
