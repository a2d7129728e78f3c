"""Names and addresses of new devices."""

from __future__ import annotations

import dataclasses

import pytest

from core.errors import Refused
from ring.place import new_devices, next_address

PATHS = ("/a", "/b", "/c", "/d")


def test_a_cloud_of_one_machine_has_a_socket_for_each_device() -> None:
    """With plain names."""
    devices = new_devices(PATHS, node="n", zone=1, region=1, listen="unix:/run")
    assert [one.address for one in devices] == [f"unix:/run/objectd-{n}.sock" for n in range(4)]
    assert [one.name for one in devices] == ["d0", "d1", "d2", "d3"]


def test_devices_of_a_node_with_others_have_ports_above_its_own() -> None:
    """And names that no other node's devices have; a gap is filled first."""
    devices = new_devices(
        PATHS[:3], node="n1", zone=2, region=3, listen="tls:[::1]:7100", first_id=4
    )
    assert [(one.id, one.name) for one in devices] == [(4, "n1-d0"), (5, "n1-d1"), (6, "n1-d2")]
    assert [one.address for one in devices] == [f"tls:[::1]:{7101 + n}" for n in range(3)]
    assert {(one.node, one.zone, one.region) for one in devices} == {("n1", 2, 3)}
    assert next_address("tls:[::1]:7100", devices[1:], None) == "tls:[::1]:7101"


def test_processes_are_shared_when_there_shall_be_few() -> None:
    """The one with the fewest devices takes the next."""
    devices = new_devices(PATHS, node="n1", zone=1, region=1, listen="tcp:h:7100", objectd_count=2)
    assert [one.address[-4:] for one in devices] == ["7101", "7102", "7101", "7102"]
    moved = [dataclasses.replace(one, address="tcp:h:7101") for one in devices[:3]]
    assert next_address("tcp:h:7100", [*moved, devices[1]], 2) == "tcp:h:7102"


def test_ports_come_to_an_end() -> None:
    """With a clear word."""
    with pytest.raises(Refused, match="no port above 65535"):
        next_address("tls:h:65535", (), None)
