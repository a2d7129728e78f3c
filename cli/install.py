"""Making a data directory: settings, secrets and the first ring epoch, all at random and none default."""

from __future__ import annotations

import os
import re
import secrets
import socket
from pathlib import Path

from core.errors import Conflict, Refused
from core.installation import Config, Installation, Secrets
from core.real import make_directory
from ring.device import Device
from ring.draft import Draft
from ring.local import devices_of
from ring.place import new_devices
from ring.policy import Policy
from ring.settings import Settings
from ring.store import RingStore

PART_POWER = 10
DEVICE_COUNT = 4
DOMAINS = ("localhost", "s3.localhost")
REGION = "us-east-1"
CODEC = "isa_l_rs_cauchy"


def default_proxy_count() -> int:
    """One proxy for each two cores: the storage nodes need the other, and requests share wake-ups."""
    return max(1, (os.cpu_count() or 1) // 2)


def device_paths(installation: Installation, wanted: tuple[str, ...]) -> list[Path]:
    """Directories of the devices: `N` of our own, or the paths given. Raises Refused."""
    if not wanted:
        wanted = (str(DEVICE_COUNT),)
    if len(wanted) == 1 and wanted[0].isdigit():
        count = int(wanted[0])
        if not 1 <= count <= 64:
            raise Refused("DeviceCount", "--devices takes 1 to 64 devices, or their directories")
        return [installation.devices / f"d{number}" for number in range(count)]
    paths = [Path(path).expanduser().absolute() for path in wanted]
    if len(set(paths)) != len(paths):
        raise Refused("DeviceTwice", "the same directory is given twice in --devices")
    for path in paths:
        if not path.is_dir():
            raise Refused("NoDevice", f"{path} is not a directory: mount the disk or create it")
    return paths


def policies_for(device_count: int) -> tuple[Policy, ...]:
    """Replicas as far as devices go, and an erasure-coded policy beside them when there are enough."""
    replicas = min(3, device_count)
    name = f"replicated-{replicas}"
    policies = [
        Policy(0, name, "replicated", replicas=replicas, is_default=True, aliases=("Policy-0",))
    ]
    if device_count >= 3:
        data, parity = (4, 2) if device_count >= 6 else (2, 1)
        policies.append(
            Policy(1, f"erasure-{data}-{parity}", "erasure", data=data, parity=parity, codec=CODEC)
        )
    return tuple(policies)


def node_name() -> str:
    """The name of this machine, made safe for the ring."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()).lstrip("._-")[:64]
    return name or "node"


def local_devices(installation: Installation) -> tuple[Device, ...]:
    """The devices of this machine in its newest ring."""
    epoch = RingStore(installation.ring).current()
    return () if epoch is None else devices_of(epoch.devices, installation.config().node)


def install(
    installation: Installation,
    *,
    devices: tuple[str, ...],
    listen: str,
    object_port: int,
    api_port: int,
    proxy_count: int,
    database: str = "",
    node: str | None = None,
    zone: int = 1,
    cluster_listen: str | None = None,
    plain_links: bool = False,
    objectd_count: int | None = None,
    without: tuple[str, ...] = (),
) -> None:
    """Make the data directory of a new cloud. Raises Refused, Conflict."""
    from ring.build import build

    paths = device_paths(installation, devices)
    make_directory(installation.data)
    installation.data.chmod(0o700)
    for directory in (installation.run, installation.logs, installation.ring):
        make_directory(directory)
    config = Config(
        installation=secrets.token_hex(16),
        listen=listen,
        object_port=object_port,
        api_port=api_port,
        region=REGION,
        domains=DOMAINS,
        proxy_count=proxy_count,
        node=node or node_name(),
        zone=zone,
        cluster_listen=cluster_listen,
        plain_links=plain_links,
        objectd_count=objectd_count,
        without=without,
        database=database,
    )
    store = RingStore(installation.ring)
    with store.locked():
        if store.has_draft():
            raise Conflict("HalfMade", f"{installation.ring} exists without settings: remove it")
        settings = Settings(PART_POWER, secrets.randbits(64), min(3, len(paths)))
        made = new_devices(
            [str(path) for path in paths],
            node=config.node,
            zone=config.zone,
            region=config.ring_region,
            listen=installation.listens(config),
            objectd_count=objectd_count,
        )
        draft = Draft(settings, policies_for(len(paths)), made)
        store.write(build(draft, None).epoch)
        store.write_draft(draft)
    if cluster_listen is not None:
        from noded.keeper import found

        found(installation, config)
    installation.write(config, new_secrets())


def new_secrets() -> Secrets:
    """Fresh keys and root credentials."""
    return Secrets(
        cluster_key=secrets.token_bytes(32),
        token_key=secrets.token_bytes(32),
        access_key="RS" + secrets.token_hex(9).upper(),
        secret_key=secrets.token_urlsafe(30),
        user="admin:admin",
        key=secrets.token_urlsafe(24),
        account="AUTH_" + secrets.token_hex(16),
        demo_key=secrets.token_urlsafe(24),
    )
