"""Servers with a real guest: the demonstration, and what is left when processes are killed at any moment."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cli import guests
from cli.demo_server import show_server
from cli.guest import image as guest_image
from core.installation import Installation
from core.namespace import host_namespace, named
from tests import installing
from tests.running_cloud import RunningCloud, kill

pytestmark = pytest.mark.slow
PNG = b"\x89PNG"
SETTLED_S = 30.0


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud that runs guests, with what its first start gives it."""
    with installing.alone():
        guests.install()
        guest_image.install_tools()
    running = RunningCloud(tmp_path_factory.mktemp("guests") / "data")
    output = running.up(guests=True)
    assert "image guest" in output, output
    until(lambda: host_is_up(running))
    yield running
    running.end()


def host_is_up(cloud: RunningCloud) -> bool:
    """The compute agent has reported."""
    done = cloud.run("openstack", "compute", "service", "list", "-f", "json", check=False)
    return any(row["State"] == "up" for row in json.loads(done.stdout or "[]"))


def until(holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.1)


def openstack(cloud: RunningCloud, *words: str) -> object:
    """Output of a command of the openstack client."""
    return json.loads(cloud.run("openstack", *words, "-f", "json").stdout or "null")


def taps(cloud: RunningCloud) -> list[str]:
    """Guests' interfaces on the host."""
    name = host_namespace(Installation(cloud.data))
    done = subprocess.run(
        ["ip", "-n", name, "-j", "link"], capture_output=True, text=True, check=True
    )
    return [row["ifname"] for row in json.loads(done.stdout) if row["ifname"].startswith("tap")]


def machines(cloud: RunningCloud) -> list[str]:
    """Machines that libvirt knows."""
    return [path.name for path in (cloud.data / "compute" / "m").glob("*.log")]


def test_the_demonstration(cloud: RunningCloud, tmp_path: Path) -> None:
    """Boot, log-in prompt, SSH over the floating IP, a volume that the guest formats, a snapshot, a picture; all given back."""
    picture = tmp_path / "screen.png"
    asyncio.run(show_server(Installation(cloud.data), picture))
    assert picture.read_bytes().startswith(PNG)
    assert openstack(cloud, "server", "list") == []
    assert openstack(cloud, "volume", "list", "--all-projects") == []
    until(lambda: taps(cloud) == [] and machines(cloud) == [])


@pytest.mark.parametrize("victim", ["compute", "network", "apid", "blockd"])
def test_a_kill_in_the_middle_leaves_nothing_behind(cloud: RunningCloud, victim: str) -> None:
    """While a server is made and while it goes: it ends ACTIVE or in ERROR, then nothing of it is left."""
    created = openstack(
        cloud,
        *("server", "create", "--image", "guest", "--flavor", "tiny", "--network", "private"),
        f"kill-{victim}",
    )
    assert isinstance(created, dict)
    kill(cloud.pid(victim))

    def status() -> str:
        done = cloud.run(
            *("openstack", "server", "show", created["id"], "-f", "value", "-c", "status"),
            check=False,
        )
        return done.stdout.strip()

    until(lambda: status() in {"ACTIVE", "ERROR"}, SETTLED_S)
    until(lambda: host_is_up(cloud))
    cloud.run("openstack", "server", "delete", created["id"])
    kill(cloud.pid(victim))
    until(lambda: status() == "", SETTLED_S)
    until(lambda: taps(cloud) == [] and machines(cloud) == [], SETTLED_S)
    assert openstack(cloud, "volume", "list", "--all-projects") == []
    ports = openstack(cloud, "port", "list", "--device-owner", "compute:nova")
    assert ports == []
    exports = json.loads(cloud.command("volume", "exports", "--json"))
    assert exports == []


def test_stopping_the_cloud_leaves_no_guest_and_no_network(
    tmp_path: Path, cloud: RunningCloud
) -> None:
    """`ringstack down` ends guests, libvirtd, and every namespace of the cloud; `up` brings the networks back."""
    del tmp_path
    prefix = host_namespace(Installation(cloud.data))
    assert named(prefix) != []
    cloud.down()
    assert named(prefix) == []
    assert not list((cloud.data / "compute").glob("*.pid"))
    cloud.up(guests=True)
    until(lambda: len(named(prefix)) > 1)
