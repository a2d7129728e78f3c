"""Making a data directory: devices, policies, ring, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.install import (
    device_paths,
    install,
    local_devices,
    node_name,
    policies_for,
)
from cli.up import check_same_devices, split
from core.errors import Conflict, Refused
from core.installation import Installation
from ring.device import Device
from ring.store import RingStore


def made(data: Path, *devices: str) -> Installation:
    installation = Installation(data)
    install(
        installation,
        devices=devices,
        listen="127.0.0.1",
        object_port=8080,
        api_port=5000,
        proxy_count=2,
    )
    return installation


@pytest.mark.parametrize(
    ("count", "replicas", "coded"),
    [
        (1, 1, None),
        (2, 2, None),
        (3, 3, (2, 1)),
        (4, 3, (2, 1)),
        (6, 3, (4, 2)),
        (12, 3, (4, 2)),
    ],
)
def test_policies_follow_the_number_of_devices(count, replicas, coded) -> None:
    """As many copies as can lie apart, up to three; erasure coding from three devices on."""
    policies = policies_for(count)
    assert policies[0].is_default
    assert policies[0].replicas == replicas
    assert [(p.data, p.parity) for p in policies[1:]] == ([coded] if coded else [])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_a_cloud_of_any_size_has_a_ring_over_its_devices(tmp_path: Path, count: int) -> None:
    """Every device is in the ring, with its own directory and storage node."""
    installation = made(tmp_path / "cloud", str(count))
    epoch = RingStore(installation.ring).current()
    assert epoch is not None
    assert [device.id for device in epoch.devices] == list(range(count))
    assert [device.path for device in local_devices(installation)] == [
        str(installation.devices / f"d{n}") for n in range(count)
    ]
    assert {device.node for device in epoch.devices} == {installation.config().node}
    assert len({device.address for device in epoch.devices}) == count
    assert epoch.index_replicas == min(3, count)


def test_devices_may_be_directories(tmp_path: Path) -> None:
    """Mounted disks, given once each or in one list; they must exist."""
    disks = [tmp_path / f"disk{n}" for n in range(3)]
    for disk in disks:
        disk.mkdir()
    given = split((f"{disks[0]},{disks[1]}", str(disks[2])))
    installation = made(tmp_path / "cloud", *given)
    assert [device.path for device in local_devices(installation)] == list(map(str, disks))
    check_same_devices(installation, given)
    with pytest.raises(Conflict, match="other devices"):
        check_same_devices(installation, ("4",))


@pytest.mark.parametrize(
    ("devices", "code"),
    [(("0",), "DeviceCount"), (("65",), "DeviceCount"), (("/nowhere/at/all",), "NoDevice")],
)
def test_devices_that_cannot_be_are_refused(tmp_path: Path, devices, code) -> None:
    """Before anything is made."""
    with pytest.raises(Refused) as caught:
        made(tmp_path / "cloud", *devices)
    assert caught.value.code == code
    assert not (tmp_path / "cloud").exists()


def test_the_same_directory_twice_is_refused(tmp_path: Path) -> None:
    """Two replicas on one disk would be one."""
    with pytest.raises(Refused) as caught:
        device_paths(Installation(tmp_path), (str(tmp_path), f"{tmp_path}/."))
    assert caught.value.code == "DeviceTwice"


def test_a_half_made_directory_is_not_made_again(tmp_path: Path) -> None:
    """A ring without settings may belong to data that is still needed."""
    installation = made(tmp_path / "cloud", "1")
    (installation.data / "config.json").unlink()
    with pytest.raises(Conflict, match="remove it"):
        made(tmp_path / "cloud", "1")


def test_the_name_of_a_machine_is_safe_for_the_ring() -> None:
    """Whatever the host is called."""
    device = Device(0, "d0", 1, 1, node_name(), "unix:x", "/x", 1)
    assert device.node == node_name()
