"""Devices that are not what the ring expects: each is refused by itself, and tried again."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from cli.install import install, local_devices
from core.errors import Conflict, Corrupt
from core.installation import Installation
from core.real import RealEnv
from objectd.device import DeviceIdentity
from objectd.main import Opening, check_identity, lock_device
from ring.store import RingStore

IDENTITY = DeviceIdentity(3, "d3", "ours", 10, 7)


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, Path]:
    """A device's directory, in use by device 3, and the machine's note of it."""
    path, known = tmp_path / "disk", tmp_path / "known" / "device-3"
    path.mkdir()
    check_identity(path, IDENTITY, known)
    return path, known


def test_a_device_is_marked_once_and_then_recognised(place: tuple[Path, Path]) -> None:
    """Also when the machine's note was lost, or the device has another name now."""
    path, known = place
    check_identity(path, IDENTITY, known)
    known.unlink()
    check_identity(path, DeviceIdentity(3, "renamed", "ours", 10, 7), known)
    assert known.exists()


@pytest.mark.parametrize(
    ("identity", "code"),
    [
        (DeviceIdentity(4, "d4", "ours", 10, 7), "WrongDevice"),
        (DeviceIdentity(3, "d3", "theirs", 10, 7), "WrongDevice"),
        (DeviceIdentity(3, "d3", "ours", 11, 7), "WrongRing"),
    ],
)
def test_another_device_is_refused(place: tuple[Path, Path], identity, code: str) -> None:
    """Two disks that changed places, or one of another cloud."""
    path, known = place
    with pytest.raises(Corrupt) as caught:
        check_identity(path, identity, known)
    assert caught.value.code == code


def test_a_device_that_was_in_use_does_not_come_back_empty(place: tuple[Path, Path]) -> None:
    """An empty mount point or a wiped disk would vote as if it had never promised anything."""
    path, known = place
    shutil.rmtree(path)
    path.mkdir()
    with pytest.raises(Corrupt, match="has held data"):
        check_identity(path, IDENTITY, known)
    assert list(path.iterdir()) == []
    (path / "log").mkdir()
    with pytest.raises(Corrupt, match=r"no device\.json"):
        check_identity(path, IDENTITY, known)


def test_one_bad_device_does_not_keep_the_others_away(tmp_path: Path) -> None:
    """It is said in the log, and opened once it is right."""
    installation = Installation(tmp_path / "data")
    install(
        installation,
        devices=("3",),
        listen="127.0.0.1",
        object_port=1,
        api_port=2,
        proxy_count=1,
    )
    epoch = RingStore(installation.ring).current()
    assert epoch is not None
    wrong = installation.devices / "d1"
    wrong.mkdir(parents=True)
    (wrong / "log").mkdir()

    async def scenario() -> None:
        seen: list[int] = []
        opening = Opening(
            RealEnv(), installation, lambda device: seen.append(device.identity.device)
        )
        missing = await opening.first(local_devices(installation), epoch.settings)
        assert [device.id for device in missing] == [1]
        assert sorted(seen) == [0, 2]
        (wrong / "log").rmdir()
        assert await opening.first(missing, epoch.settings) == []
        assert seen[-1] == 1
        for device in opening.opened:
            device.index.close(clean=True)

    asyncio.run(scenario())


def test_two_processes_do_not_share_a_device(tmp_path: Path) -> None:
    """The second is refused after a short wait."""

    async def scenario() -> None:
        await lock_device(tmp_path, 0.0)
        with pytest.raises(Conflict, match="in use"):
            await lock_device(tmp_path, 0.0)

    asyncio.run(scenario())
