"""Several nodes as real processes: joining, listing, removing, and opening a cloud of one machine."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.running_cloud import BIN, RunningCloud
from tests.system.swift import Swift

pytestmark = pytest.mark.slow

PORTS = 8  # noded and its storage nodes, above each other
given: set[int] = set()  # a node's daemon begins to listen a moment after `up` has returned


def free_ports() -> int:
    """The first of some neighbouring ports that nobody uses now and that nobody was given before."""
    for first in range(20_000, 60_000, PORTS):
        if first in given:
            continue
        try:
            for port in range(first, first + PORTS):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        given.add(first)
        return first
    raise AssertionError("no ports are free")


def nodes(cloud: RunningCloud) -> dict[str, dict[str, object]]:
    listed = json.loads(cloud.command("node", "list", "--json"))["nodes"]
    return {row["name"]: row for row in listed}


def join(keeper: RunningCloud, data: Path, name: str, *arguments: str) -> RunningCloud:
    """A new machine, as its operator would make it."""
    ticket = json.loads(keeper.command("node", "token", "--json"))
    machine = RunningCloud(data)
    machine.command(
        "node",
        "join",
        ticket["address"],
        *("--token", ticket["token"], "--name", name, "--devices", "2"),
        *("--cluster-listen", f"127.0.0.1:{free_ports()}"),
        *("--object-port", "0", "--api-port", "0", "--json"),
        *arguments,
    )
    machine.env = json.loads(machine.command("env", "--format", "json"))
    return machine


@pytest.fixture
def keeper(tmp_path: Path):
    """A cloud of one machine, opened to others at its second start."""
    cloud = RunningCloud(tmp_path / "alpha")
    cloud.up("--devices", "3", "--name", "alpha")
    with Swift(cloud) as swift:
        assert swift.put("c") == 201
        assert swift.put("c/before", b"b" * 100_000) == 201
    cloud.down()
    cloud.up("--cluster-listen", f"127.0.0.1:{free_ports()}")
    yield cloud
    cloud.down()


def test_machines_join_serve_and_are_removed(keeper: RunningCloud, tmp_path: Path) -> None:
    """What was stored before the cloud was opened is served by each node; a removed one is shut out."""
    ring = json.loads(keeper.command("ring", "status", "--json"))
    assert (ring["epoch"], ring["staged"]) == (2, [])
    shown = json.loads(keeper.command("ring", "show", "--json"))
    assert all(device["address"].startswith("tls:127.0.0.1:") for device in shown["devices"])
    beta = join(keeper, tmp_path / "beta", "beta", "--zone", "2")
    gamma = join(beta, tmp_path / "gamma", "gamma", "--zone", "3")
    try:
        for cloud in (keeper, beta, gamma):
            with Swift(cloud) as swift:
                assert swift.get("c/before") == b"b" * 100_000
                assert swift.put(f"c/{cloud.data.name}", b"x" * 50_000) == 201
        with Swift(keeper) as swift, Swift(beta) as other:
            other.token = swift.token
            assert other.get("c/alpha") == b"x" * 50_000
            assert swift.names("c") == ["alpha", "before", "beta", "gamma"]
        assert [row["up"] for row in nodes(gamma).values()] == [True] * 3
        staged = json.loads(keeper.command("ring", "plan", "--json"))["staged"]
        assert len(staged) == 4
        keeper.command("ring", "apply")
        for cloud, count in ((keeper, 3), (beta, 2), (gamma, 2)):
            until(lambda cloud=cloud, count=count: well(cloud, devices=count, nodes=3), 30)
        outsider = Swift(gamma)
        assert outsider.get("c/before") == b"b" * 100_000
        for row in json.loads(keeper.command("ring", "show", "--json"))["devices"]:
            if row["node"] == "gamma":
                keeper.command("ring", "remove", str(row["id"]))
        assert "hold data" in refused(keeper, "node", "remove", "gamma")
        keeper.command("ring", "apply")
        keeper.command("node", "remove", "gamma")
        until(lambda: set(nodes(beta)) == {"alpha", "beta"})
        until(lambda: outsider.put("c/outside") >= 500)
        outsider.session.close()
        with Swift(beta) as swift:
            assert swift.get("c/gamma") == b"x" * 50_000
    finally:
        gamma.down()
        beta.down()


def well(cloud: RunningCloud, *, devices: int, nodes: int) -> bool:
    """What `doctor` says of a node, which may be slow on a busy machine."""
    report = cloud.command("doctor", check=False)
    return report.count("registers") == devices and report.count("answers, ring") == nodes


def refused(cloud: RunningCloud, *arguments: str) -> str:
    done = subprocess.run(
        [BIN / "ringstack", *arguments, "--data", str(cloud.data)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    return done.stderr


def until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)
