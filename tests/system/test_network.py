"""Nodes in network namespaces: partitions are real, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import Refused
from sim import live_network
from sim.live_network import NAMESPACES, PREFIX, Network

pytestmark = pytest.mark.slow

LISTEN = """
import socket
server = socket.create_server(("", 9))
print("ready", flush=True)
while True:
    server.accept()[0].close()
"""


@pytest.fixture
def network():
    """Three nodes, each with a listener."""
    made = Network()
    try:
        made.start()
    except Refused as error:
        pytest.skip(error.message)
    listeners = []
    try:
        for _ in range(3):
            number = made.add_node()
            process = subprocess.Popen(
                made.command(number, sys.executable, "-c", LISTEN), stdout=subprocess.PIPE
            )
            listeners.append(process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
        yield made
    finally:
        made.stop()
        for process in listeners:
            process.wait(10)
            process.stdout.close()


def reaches(network: Network, source: int, target: int) -> bool:
    address = network.address(target)
    probe = f"import socket; socket.create_connection(('{address}', 9), 0.5)"
    command = network.command(source, sys.executable, "-c", probe)
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def hears(network: Network, source: int, target: int) -> bool:
    """One packet, one way."""
    address = network.address(target)
    listen = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 7));"
        "s.settimeout(1); print('ready', flush=True); s.recv(9)"
    )
    send = f"import socket; socket.socket(type=2).sendto(b'x', ('{address}', 7))"
    with subprocess.Popen(
        network.command(target, sys.executable, "-c", listen),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as receiver:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        subprocess.run(network.command(source, sys.executable, "-c", send), check=False)
        return receiver.wait(5) == 0


def test_a_partition_cuts_both_ways_and_heals(network: Network) -> None:
    """Between the sides only."""
    assert reaches(network, 0, 1)
    network.split([0], [1, 2])
    assert not reaches(network, 0, 1)
    assert not reaches(network, 2, 0)
    assert reaches(network, 1, 2)
    network.heal()
    assert reaches(network, 0, 1)
    assert reaches(network, 2, 0)


def test_a_partition_may_cut_one_way(network: Network) -> None:
    """Packets vanish in one direction and arrive in the other."""
    network.block([(0, 1)])
    assert not hears(network, 0, 1)
    assert hears(network, 1, 0)
    network.heal()
    assert hears(network, 0, 1)


def test_a_pulled_cable_silences_a_node(network: Network) -> None:
    """Until it is plugged in again."""
    network.unplug(2)
    assert not reaches(network, 0, 2)
    network.plug(2)
    assert reaches(network, 0, 2)


def test_nothing_is_left_behind(network: Network) -> None:
    """Neither namespaces nor the processes in them; what a dead run left is found by the next."""
    pids = [pid for number in range(3) for pid in network.pids(number)]
    assert len(pids) == 3
    network.stop()
    assert not list(NAMESPACES.glob(f"{network.hub.rpartition('-')[0]}*"))
    assert not any(running(pid) for pid in pids)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    name = f"{PREFIX}-{dead.pid}-n0"
    live_network.ip(f"netns add {name}")
    sleeper = subprocess.Popen(["ip", "netns", "exec", name, "sleep", "60"])
    deadline = time.monotonic() + 5
    while not live_network.ip(f"netns pids {name}") and time.monotonic() < deadline:
        pass
    live_network.remove_leftovers()
    assert sleeper.wait(5) != 0
    assert not (NAMESPACES / name).exists()


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
