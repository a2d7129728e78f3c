"""Devices of a cloud that is down: opened for reading only, and served to the check inside this process."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from cli.fsck.findings import Report
from core.errors import Conflict, Corrupt, NotFound
from core.installation import Installation
from core.real import RealEnv, sync_directory
from objectd.device import IDENTITY, Device, DeviceIdentity
from objectd.lmdbindex import LmdbIndex, copy_trusted
from objectd.readonly import ReadOnlyDisk
from objectd.verify import SHOWN_MAX, differences, verify_device
from ring.device import Device as RingDevice
from ring.epoch import Epoch
from ring.local import devices_of
from ring.store import RingStore

REBUILT_FREE_BYTES = 1 << 62  # an index that is being built may be committed
NEW, OLD = "index.new", "index.old"


def ring_of(installation: Installation) -> Epoch:
    """The newest ring of this machine. Raises Corrupt."""
    epoch = RingStore(installation.ring).current()
    if epoch is None:
        raise Corrupt("NoRing", f"there is no valid ring in {installation.ring}")
    return epoch


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep a device to ourselves. Raises Conflict when a process serves it."""
    fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise Conflict("DeviceLocked", f"{path} is in use by another process") from None
    finally:
        os.close(fd)


class Offline:
    """The devices of this machine, with indexes of their own in a scratch directory."""

    def __init__(self, installation: Installation, epoch: Epoch, report: Report) -> None:
        self._installation = installation
        self._epoch = epoch
        self._report = report
        self._stack = contextlib.ExitStack()
        self.devices: dict[int, Device] = {}

    def __enter__(self) -> Self:
        self.scratch = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="fsck-")))
        return self

    def __exit__(self, *exc: object) -> None:
        for device in self.devices.values():
            device.index.close(clean=False)
            device.log.close()
        self._stack.close()

    @property
    def here(self) -> tuple[RingDevice, ...]:
        """Devices of this machine."""
        return devices_of(self._epoch.devices, self._installation.config().node)

    def open_all(self) -> None:
        """Open what can be opened; the rest is found to be away."""
        for one in self.here:
            try:
                self.devices[one.id] = self._open(one)
            except (Corrupt, Conflict, OSError, msgspec.MsgspecError) as error:
                self._report.find("away", f"{one.name}: {error}")

    def _open(self, one: RingDevice) -> Device:
        path = self._installation.data / one.path
        identity = read_identity(path)
        if identity.device != one.id:
            raise Corrupt("WrongDevice", f"{path} belongs to device {identity.device}")
        self._stack.enter_context(locked(path))
        scratch = self.scratch / f"d{one.id}"
        if not copy_trusted(path / "index", scratch):
            text = f"{one.name}: the index was not left clean; it is built from the log at the next start"
            self._report.notes.append(text)
        return Device(RealEnv(), ReadOnlyDisk(path), LmdbIndex(scratch), identity)

    def verify(self, *, deep: bool) -> None:
        """Each device against itself."""
        for device in self.devices.values():
            for kind, text in verify_device(device, deep=deep):
                self._report.find(kind, f"{device.identity.name}: {text}")


def read_identity(path: Path) -> DeviceIdentity:
    """Who the device in a directory is. Raises Corrupt."""
    try:
        return msgspec.json.decode((path / IDENTITY).read_bytes(), type=DeviceIdentity)
    except FileNotFoundError:
        raise Corrupt("NoIdentity", f"there is no device in {path}") from None


def rebuild(installation: Installation, wanted: str, report: Report) -> int:
    """Build the index of a device from its log and put it in place; returns how many records were read.

    Where the old index says something else, that is a finding, and the old one is kept beside the new one.
    Raises NotFound, Conflict, Corrupt.
    """
    epoch = ring_of(installation)
    here = devices_of(epoch.devices, installation.config().node)
    found = [one for one in here if wanted in {one.name, str(one.id)}]
    if not found:
        raise NotFound("NoDevice", f"there is no device {wanted!r} on this machine")
    path = installation.data / found[0].path
    identity = read_identity(path)
    with locked(path), tempfile.TemporaryDirectory(prefix="fsck-") as scratch:
        shutil.rmtree(path / NEW, ignore_errors=True)
        disk = ReadOnlyDisk(path, REBUILT_FREE_BYTES)
        new = Device(RealEnv(), disk, LmdbIndex(path / NEW), identity)
        old: Device | None = None
        if copy_trusted(path / "index", Path(scratch) / "old"):
            old = Device(RealEnv(), ReadOnlyDisk(path), LmdbIndex(Path(scratch) / "old"), identity)
            old.write_accounts()
            new.write_accounts()
            _compare(old, new, report)
        else:
            report.notes.append("there was no trusted index to compare with")
        read = new.recovered_records
        if old is not None:
            old.index.close(clean=False)
            old.log.close()
        new.close(clean=True)
        _swap(path, keep=not report.clean)
    return read


def _compare(old: Device, new: Device, report: Report) -> None:
    generation = new.generation.number
    for shown, text in enumerate(differences(old.index, new.index, generation)):
        if shown < SHOWN_MAX:
            report.find("count", f"{new.identity.name}: {text}")
        else:
            report.counts["count"] += 1


def _swap(path: Path, *, keep: bool) -> None:
    shutil.rmtree(path / OLD, ignore_errors=True)
    if (path / "index").exists():
        (path / "index").rename(path / OLD)
    (path / NEW).rename(path / "index")
    sync_directory(path)
    if not keep:
        shutil.rmtree(path / OLD, ignore_errors=True)
