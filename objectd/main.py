"""The objectd process: devices of one machine, served at one address.

`python -m objectd.main --data DIR --name NAME`. The ring says which devices are this process's. A device is
refused when it carries another identity than the ring expects, when it has lost the one it had, or when
another process has it locked; it is tried again now and then, and the others serve meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from core import process
from core.env import Env
from core.errors import Conflict, Corrupt, RingstackError
from core.installation import Installation
from core.metrics import Metrics
from core.real import RealDisk, RealEnv, make_directory, write_durably
from core.trust import Trust
from objectd import compact
from objectd.care import Care
from objectd.device import IDENTITY, Device, DeviceIdentity
from objectd.lmdbindex import LmdbError, LmdbIndex
from objectd.placement import Placement
from objectd.server import ObjectServer
from ring.device import Device as RingDevice
from ring.local import served_by
from ring.settings import Settings
from ring.store import RingStore

log = logging.getLogger("ringstack.objectd")

COMMIT_S = 1.0
LOCK_WAIT_S = 15.0  # a process that was told to stop may still be writing its last group
LOCK_TRY_S = 0.05
OPEN_AGAIN_S = (2.0, 5.0, 10.0, 30.0)
FOLLOW_S = 1.0


async def lock_device(path: Path, wait_s: float = LOCK_WAIT_S) -> int:
    """Take the device's lock for the life of this process. Raises Conflict when another keeps it."""
    fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = asyncio.get_running_loop().time() + wait_s
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except BlockingIOError:
            if asyncio.get_running_loop().time() >= deadline:
                os.close(fd)
                raise Conflict("DeviceLocked", f"{path} is in use by another process") from None
        await asyncio.sleep(LOCK_TRY_S)


def check_identity(path: Path, wanted: DeviceIdentity, known: Path) -> None:
    """Mark a fresh device as ours, or make sure that it is the one we expect.

    `known` is this machine's note that the device has been in use. A device that has promised and accepted
    must not come back empty: it would vote as if it never had. Raises Corrupt.
    """
    marker = path / IDENTITY
    if not marker.exists():
        if (path / "log").exists():
            raise Corrupt("NoIdentity", f"{path} has data but no {IDENTITY}: is it the right disk?")
        if known.exists():
            raise Corrupt(
                "LostDevice",
                f"{path} is empty, but device {wanted.device} has held data: mount the right disk; "
                "if it is lost, replace the device in the ring by a new one",
            )
        write_durably(marker, msgspec.json.encode(wanted))
    found = msgspec.json.decode(marker.read_bytes(), type=DeviceIdentity)
    if (found.device, found.installation) != (wanted.device, wanted.installation):
        raise Corrupt(
            "WrongDevice",
            f"{path} belongs to device {found.device} of installation {found.installation}; "
            f"device {wanted.device} of installation {wanted.installation} is expected there",
        )
    if (found.part_power, found.seed) != (wanted.part_power, wanted.seed):
        raise Corrupt("WrongRing", f"{path} was made for a ring of another part power or seed")
    if not known.exists():
        make_directory(known.parent)
        write_durably(known, msgspec.json.encode(found))


async def open_device(env: Env, path: Path, identity: DeviceIdentity, known: Path) -> Device:
    """Lock, check and recover one device. Raises Conflict, Corrupt, OSError."""
    make_directory(path)
    lock = await lock_device(path)
    try:
        check_identity(path, identity, known)
        index = LmdbIndex(path / "index")
        try:
            device = Device(env, RealDisk(path), index, identity)
            device.release = partial(os.close, lock)
        except BaseException:
            index.close(clean=False)
            raise
    except BaseException:
        os.close(lock)
        raise
    log.info("device %s recovered %d records", identity.name, device.recovered_records)
    return device


class Opening:
    """Opens the devices of this process, each until it can be opened.

    `opened` grows as devices come; `on_open` is told of each.
    """

    def __init__(
        self, env: Env, installation: Installation, on_open: Callable[[Device], None]
    ) -> None:
        self._env = env
        self._installation = installation
        self._config = installation.config()
        self._on_open = on_open
        self.opened: list[Device] = []

    async def first(self, wanted: Sequence[RingDevice], settings: Settings) -> list[RingDevice]:
        """Try each once; returns those that could not be opened."""
        good = await asyncio.gather(*(self._open(device, settings) for device in wanted))
        return [device for device, opened in zip(wanted, good, strict=True) if not opened]

    async def follow(self, name: str) -> None:
        """Open what newer rings give to this process, and now and then what could not be opened."""
        store = RingStore(self._installation.ring)
        number = 0
        attempt, waited_s = 0, 0.0
        while True:
            await asyncio.sleep(FOLLOW_S)
            waited_s += FOLLOW_S
            newest = max(store.numbers(), default=0)
            if newest == number and waited_s < OPEN_AGAIN_S[min(attempt, len(OPEN_AGAIN_S) - 1)]:
                continue
            attempt = 0 if newest != number else attempt + 1
            number, waited_s = newest, 0.0
            epoch = store.current()
            if epoch is None:
                continue
            have = {device.identity.device for device in self.opened}
            wanted = served_by(epoch.devices, self._config.node, name)
            await self.first([one for one in wanted if one.id not in have], epoch.settings)

    async def _open(self, device: RingDevice, settings: Settings) -> bool:
        installation = self._installation
        identity = DeviceIdentity(
            device.id,
            device.name,
            self._config.installation,
            settings.part_power,
            settings.seed,
        )
        path = installation.data / device.path
        known = installation.known / f"device-{device.id}"
        try:
            opened = await open_device(self._env, path, identity, known)
        except RingstackError as error:
            log.error("device %s is not served: %s", device.name, error.message)
            return False
        except (OSError, LmdbError) as error:
            log.error("device %s is not served: %s: %s", device.name, path, error)
            return False
        self.opened.append(opened)
        self._on_open(opened)
        return True

    async def usable(self, device: Device) -> bool:
        """Whether a device that has failed could be opened: the right one is there and takes writes."""
        epoch = RingStore(self._installation.ring).current()
        found = [one for one in epoch.devices if one.id == device.identity.device] if epoch else []
        if not found:
            return False
        path = self._installation.data / found[0].path
        try:
            await self._env.offload(lambda: probe(path, device.identity))
        except (OSError, RingstackError) as error:
            log.info("device %s cannot be used yet: %s", device.identity.name, error)
            return False
        return True


def probe(path: Path, identity: DeviceIdentity) -> None:
    """Write and sync a byte on a device. Raises OSError, or Corrupt when another is mounted there."""
    found = msgspec.json.decode((path / IDENTITY).read_bytes(), type=DeviceIdentity)
    if (found.device, found.installation) != (identity.device, identity.installation):
        raise Corrupt("WrongDevice", f"{path} belongs to device {found.device}")
    write_durably(path / "probe", b"1")


async def commit_often(devices: list[Device]) -> None:
    """Let the indexes follow their logs, so that a restart has little to replay."""
    while True:
        await asyncio.sleep(COMMIT_S)
        for device in devices:
            if device.uncommitted:
                device.commit_index()


async def serve(data: Path, name: str) -> None:
    """Run until told to stop."""
    installation = Installation(data)
    config, secrets = installation.config(), installation.secrets()
    store = RingStore(installation.ring)
    found = store.newest()
    epoch = found.epoch
    if epoch is None:
        raise Corrupt("NoRing", f"there is no valid ring in {installation.ring}")
    for damage in found.damaged:
        log.error("a newer ring is damaged and is fetched again: %s", damage.message)
    env = RealEnv()
    trust = Trust(installation.identity) if config.cluster_listen else None
    placement = Placement(epoch, store.keep, least=max(store.numbers()))
    server = ObjectServer(env, secrets.cluster_key, {}, placement, trust=trust)

    def begin(device: Device) -> None:
        care.begin(device)

    opening = Opening(env, installation, begin)
    care = Care(server, opening.opened, opening.usable)
    wanted = served_by(epoch.devices, config.node, name)
    await opening.first(wanted, epoch.settings)
    own = installation.socket(name)
    await server.frames.listen(own)
    for address in sorted({device.address for device in wanted} - {own}):
        if not address.startswith("unix:"):
            await server.frames.listen(address)
    port = await process.serve_metrics(Metrics(lambda: gauges(server)))
    tasks = [
        asyncio.create_task(opening.follow(name)),
        asyncio.create_task(commit_often(opening.opened)),
        asyncio.create_task(compact.run_for_ever(opening.opened)),
    ]
    if trust is not None:
        tasks.append(asyncio.create_task(process.follow_roster(trust, server.frames)))
    served = len(opening.opened)
    process.report_ready({"metrics": port, "served": served, "refused": len(wanted) - served})
    await process.until_told(asyncio.Event())
    for task in tasks:
        task.cancel()
    await server.close(clean=True)


def gauges(server: ObjectServer) -> dict[str, float]:
    """What a scrape shows of the devices."""
    result: dict[str, float] = {}
    for number, device in server.devices.items():
        status = device.status()
        prefix = f"device_{number}"
        result[f"{prefix}_free_bytes"] = status.free_bytes
        result[f"{prefix}_log_bytes"] = status.log_bytes
        result[f"{prefix}_live_bytes"] = status.live_bytes
        result[f"{prefix}_blobs"] = status.blob_count
        result[f"{prefix}_registers"] = status.register_count
        result[f"{prefix}_writable"] = float(status.writable)
        result[f"{prefix}_damaged"] = status.damaged
        result[f"{prefix}_damage_found"] = device.damage.found
        result[f"{prefix}_scrubbed_ratio"] = status.scrubbed
        result[f"{prefix}_scrub_rounds"] = status.scrub_rounds
    for operation, count in server.calls.items():
        result[f"calls_operation_{operation}"] = count
    return result


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="objectd")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--name", required=True)
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.data, arguments.name))


if __name__ == "__main__":
    main()
