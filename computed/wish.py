"""All that a host should have, from the rows of its servers, and the version that stands for it."""

from __future__ import annotations

import base64
import hashlib

import msgspec

from computed import metadata, servers
from computed.port import (
    ABSENT,
    Disk,
    Domain,
    HostWanted,
    Interface,
    Order,
    Wanted,
)
from core.database import Connection
from core.rows import Row

SECOND_US = 1_000_000
GIB = 1 << 30
STOP_S = 60


def disk_of(row: Row, boot_index: int) -> Disk:
    """A disk whose way is known. Pure."""
    data = row["connection"]
    return Disk(
        volume_id=row["volume_id"],
        attachment_id=row["attachment_id"],
        device=row["device"].removeprefix("/dev/"),
        export=str(data.get("export", "")),
        unix_socket=str(data.get("unix_socket") or ""),
        host=str(data.get("host") or ""),
        port=int(data.get("port") or 0),
        size_bytes=row["size_gb"] * GIB,
        read_only=bool(data.get("read_only")),
        boot_index=boot_index,
        bus=row["bus"],
        kind=row["kind"],
        tag=row["tag"] or "",
    )


def disks_of(server: Row, disks: list[Row]) -> tuple[Disk, ...]:
    """The disks of a machine; while it is being rescued, another one is booted from. Pure."""
    rescue_id = (server["rescue"] or {}).get("disk_id")
    usable = [row for row in disks if row["connection"] and row["attachment_id"]]
    if rescue_id is None:
        usable = [row for row in usable if row["source"] != "rescue"]
        return tuple(disk_of(row, row["boot_index"]) for row in usable)
    first = [row for row in usable if row["id"] == rescue_id]
    others = [row for row in usable if row["id"] != rescue_id]
    return (*(disk_of(row, 0) for row in first), *(disk_of(row, -1) for row in others))


def interface_of(row: Row) -> Interface:
    """An interface whose port is known. Pure."""
    tap = "tap" + row["port_id"][:11]
    return Interface(row["port_id"], row["mac"], tap, row["mtu"], tag=row["tag"] or "")


def domain_of(server: Row, disks: list[Row], nics: list[Row]) -> Domain:
    """The machine of a server. Pure."""
    flavor, properties = server["flavor"], server["image"].get("properties", {})
    drive: dict[str, str] = {}
    if server["config_drive"]:
        files = metadata.drive_files(server, disks, nics)
        drive = {path: base64.b64encode(data).decode() for path, data in files.items()}
    return Domain(
        server_id=server["id"],
        name=f"instance-{server['number']:08x}",
        memory_mb=flavor["ram_mb"],
        vcpus=flavor["vcpus"],
        disks=disks_of(server, disks),
        interfaces=tuple(interface_of(row) for row in nics if row["port_id"] and row["mac"]),
        config_drive=drive,
        machine=str(properties.get("hw_machine_type") or ""),
        firmware="uefi" if properties.get("hw_firmware_type") == "uefi" else "",
        project_id=server["project_id"],
        user_id=server["user_id"],
        display_name=server["name"],
        flavor_name=flavor["name"],
    )


def wanted_of(server: Row, disks: list[Row], nics: list[Row]) -> Wanted:
    """What one server should be on its host. Pure."""
    if not server["present"]:
        return Wanted(server["id"], None, ABSENT)
    orders = tuple(
        Order(one["id"], one["kind"], one.get("argument", "")) for one in server["orders"]
    )
    hard = server["vm_state"] in {"rescued", "error"} or server["task_state"] == "rescuing"
    return Wanted(
        server["id"],
        domain_of(server, disks, nics),
        server["power"],
        orders,
        stop_s=0 if hard else stop_s(server),
    )


def stop_s(server: Row) -> int:
    """How long a guest may take to power itself off; an image may say. Pure."""
    told = str(server["image"].get("properties", {}).get("os_shutdown_timeout", ""))
    return int(told) if told.isdigit() and len(told) < 5 else STOP_S


async def of_host(db: Connection, host: str) -> HostWanted:
    """All servers of a host."""
    found = await servers.of_host(db, host)
    ids = [row["id"] for row in found]
    disks: dict[str, list[Row]] = {}
    nics: dict[str, list[Row]] = {}
    if ids:
        for row in await servers.disks_of(db, *ids):
            disks.setdefault(row["server_id"], []).append(row)
        for row in await servers.nics_of(db, *ids):
            nics.setdefault(row["server_id"], []).append(row)
    wanted = tuple(
        wanted_of(row, disks.get(row["id"], []), nics.get(row["id"], [])) for row in found
    )
    version = hashlib.sha256(msgspec.json.encode(wanted)).hexdigest()[:32]
    return HostWanted(version, host, wanted)
