"""A day's work with servers by OpenStack's own command and SDK, on a cloud whose hosts' machines exist only in memory."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.test_tempest_compute import made, memory_hosts
from tests.running_cloud import RunningCloud

SDK = """
import json, openstack
cloud = openstack.connect()
image = cloud.image.find_image("disk")
network = cloud.network.find_network("own")
flavor = cloud.compute.find_flavor("small")
server = cloud.create_server("sdk", image=image, flavor=flavor, network=network.id, wait=True, auto_ip=False)
volume = cloud.create_volume(1, name="more", wait=True)
cloud.attach_volume(server, volume, wait=True)
held = [one.volume_id for one in cloud.compute.volume_attachments(server)]
cloud.detach_volume(server, volume, wait=True)
cloud.delete_volume(volume.id, wait=True)
limits = cloud.compute.get_limits().absolute
cloud.delete_server(server.id, wait=True)
print(json.dumps({"status": server.status, "held": len(held), "cores": limits.total_cores_used}))
"""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud with two such hosts, an image, a network and a flavor."""
    running = RunningCloud(tmp_path_factory.mktemp("compute") / "data")
    running.up("--without", "compute")
    with memory_hosts(running, 2):
        path = running.data.parent / "disk.raw"
        path.write_bytes(os.urandom(1 << 20))
        how = ("--disk-format", "raw", "--container-format", "bare", "--file", path)
        made(running, "image", "create", *how, "disk")
        made(running, "network", "create", "own")
        made(
            running, "subnet", "create", "--network", "own", "--subnet-range", "10.9.0.0/24", "own"
        )
        made(running, "flavor", "create", "--ram", "256", "--disk", "1", "small")
        made(running, "flavor", "create", "--ram", "512", "--disk", "2", "large")
        yield running
    running.end()


def shown(cloud: RunningCloud, *arguments: str) -> Any:
    return json.loads(cloud.run("openstack", *arguments, "-f", "json").stdout)


@pytest.mark.slow
def test_the_openstack_command_does_a_days_work_with_servers(cloud: RunningCloud) -> None:
    """Create, look, stop, resize, snapshot, attach, console, group, host and placement commands, delete."""
    run = cloud.run
    key = run("openstack", "keypair", "create", "mine").stdout
    assert "PRIVATE KEY" in key
    boot = ("server", "create", "--image", "disk", "--flavor", "small", "--network", "own")
    server = shown(cloud, *boot, "--key-name", "mine", "--wait", "one")
    assert server["status"] == "ACTIVE"
    assert server["addresses"]["own"][0].startswith("10.9.0.")
    assert "line 1" in run("openstack", "console", "log", "show", "one").stdout
    for verb, status in (
        ("stop", "SHUTOFF"),
        ("start", "ACTIVE"),
        ("pause", "PAUSED"),
        ("unpause", "ACTIVE"),
    ):
        run("openstack", "server", verb, "one")
        wait(cloud, "one", status)
    run("openstack", "server", "resize", "--flavor", "large", "--wait", "one")
    run("openstack", "server", "resize", "confirm", "one")
    assert shown(cloud, "server", "show", "one")["flavor"]["original_name"] == "large"
    run("openstack", "server", "image", "create", "--name", "kept", "--wait", "one")
    assert shown(cloud, "image", "show", "kept")["status"] == "active"
    made(cloud, "volume", "create", "--size", "1", "extra")
    run("openstack", "server", "add", "volume", "one", "extra")
    run("openstack", "server", "set", "--property", "a=b", "--tag", "t", "one")
    assert [row["Name"] for row in shown(cloud, "server", "list", "--tags", "t")] == ["one"]
    actions = [row["Action"] for row in shown(cloud, "server", "event", "list", "one")]
    assert {"create", "stop", "resize", "attach_volume"} <= set(actions)
    run("openstack", "server", "group", "create", "--policy", "anti-affinity", "apart")
    run("openstack", "aggregate", "create", "--zone", "east", "racks")
    host = shown(cloud, "hypervisor", "list")[0]["Hypervisor Hostname"]
    run("openstack", "aggregate", "add", "host", "racks", host)
    assert "east" in run("openstack", "availability", "zone", "list", "--compute").stdout
    assert shown(cloud, "quota", "show", "--compute")
    assert shown(cloud, "usage", "show")
    run("openstack", "server", "delete", "--wait", "one")
    assert shown(cloud, "server", "list") == []


def wait(cloud: RunningCloud, name: str, status: str) -> None:
    for _ in range(60):
        if shown(cloud, "server", "show", name)["status"] == status:
            return
    raise AssertionError(f"{name} is not {status}")


@pytest.mark.slow
def test_openstacksdk_boots_attaches_and_removes(cloud: RunningCloud) -> None:
    """The SDK waits for what it asked for, so nothing may stay half done."""
    done = cloud.run(sys.executable, "-c", SDK)
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["status"], found["held"]) == ("ACTIVE", 1)
