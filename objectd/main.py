"""The objectd process: the devices of one node, served at one address.

`python -m objectd.main --data DIR --node N`. Refuses a device that carries another installation's or
another device's identity, and one that another process has locked.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import logging
import os
from pathlib import Path

import msgspec

from core import process
from core.env import Env
from core.errors import Conflict, Corrupt
from core.installation import Installation
from core.metrics import Metrics
from core.real import RealDisk, RealEnv, make_directory, write_durably
from objectd import compact
from objectd.device import IDENTITY, Device, DeviceIdentity
from objectd.lmdbindex import LmdbIndex
from objectd.server import ObjectServer
from ring.store import RingStore

log = logging.getLogger("ringstack.objectd")

COMMIT_S = 1.0
LOCK_WAIT_S = 15.0  # a process that was told to stop may still be writing its last group
LOCK_TRY_S = 0.05


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


def check_identity(path: Path, wanted: DeviceIdentity) -> None:
    """Mark a fresh device as ours, or make sure that it is the one we expect."""
    marker = path / IDENTITY
    if not marker.exists():
        if (path / "log").exists():
            raise Corrupt("NoIdentity", f"{path} has data but no {IDENTITY}: is it the right disk?")
        write_durably(marker, msgspec.json.encode(wanted))
        return
    found = msgspec.json.decode(marker.read_bytes(), type=DeviceIdentity)
    if found != wanted:
        raise Corrupt(
            "WrongDevice",
            f"{path} belongs to device {found.device} of installation {found.installation}",
        )


async def open_device(env: Env, path: Path, identity: DeviceIdentity) -> Device:
    """Lock, check and recover one device."""
    make_directory(path)
    await lock_device(path)
    check_identity(path, identity)
    device = Device(env, RealDisk(path), LmdbIndex(path / "index"), identity)
    log.info("device %s recovered %d records", identity.name, device.recovered_records)
    return device


async def commit_often(devices: list[Device]) -> None:
    """Let the indexes follow their logs, so that a restart has little to replay."""
    while True:
        await asyncio.sleep(COMMIT_S)
        for device in devices:
            if device.uncommitted:
                device.commit_index()


async def serve(data: Path, node: int) -> None:
    """Run until told to stop."""
    installation = Installation(data)
    config, secrets = installation.config(), installation.secrets()
    epoch = RingStore(installation.ring).current()
    if epoch is None:
        raise Corrupt("NoRing", f"there is no valid ring in {installation.ring}")
    env = RealEnv()
    devices = {}
    for known in config.devices:
        if known.node == node:
            identity = DeviceIdentity(
                known.id,
                f"d{known.id}",
                config.installation,
                epoch.settings.part_power,
                epoch.settings.seed,
            )
            devices[known.id] = await open_device(env, Path(known.path), identity)
    server = ObjectServer(env, secrets.cluster_key, devices)
    server.frames.epoch = epoch.number
    await server.frames.listen(installation.socket(node))
    port = await process.serve_metrics(Metrics(lambda: gauges(server)))
    tasks = [
        asyncio.create_task(commit_often(list(devices.values()))),
        asyncio.create_task(compact.run_for_ever(list(devices.values()))),
    ]
    process.report_ready({"metrics": port})
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
    for operation, count in server.calls.items():
        result[f"calls_operation_{operation}"] = count
    return result


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="objectd")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--node", type=int, required=True)
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.data, arguments.node))


if __name__ == "__main__":
    main()
