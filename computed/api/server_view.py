"""Servers as clients see them; what is shown depends on the microversion and on who asks."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from computed import hosts, servers, states
from computed.api.paths import bookmark, links
from computed.service import Service
from computed.times import instant, precise
from core import rows
from core.api.call import Call
from core.database import Connection
from core.rows import Row

IN_PROGRESS = frozenset({"ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "REVERT_RESIZE"})
ATTRIBUTE = "OS-EXT-SRV-ATTR:"


class Context(NamedTuple):
    """What the views of some servers need beside their rows."""

    service: Service
    disks: dict[str, list[Row]]
    nics: dict[str, list[Row]]
    host_status: dict[str, str]
    group_names: dict[str, list[str]]
    admin: bool
    specs: bool


async def context_of(db: Connection, service: Service, call: Call, found: Sequence[Row]) -> Context:
    """Read it."""
    disks: dict[str, list[Row]] = defaultdict(list)
    nics: dict[str, list[Row]] = defaultdict(list)
    ids = [row["id"] for row in found]
    if ids:
        for row in await servers.disks_of(db, *ids):
            disks[row["server_id"]].append(row)
        for row in await servers.nics_of(db, *ids):
            nics[row["server_id"]].append(row)
    own = {"project_id": call.identity.project_id}
    statuses: dict[str, str] = {}
    if call.microversion >= (2, 16) and call.may("os_compute_api:servers:show:host_status"):
        for row in await hosts.everyone(db):
            up = (
                "UP" if hosts.alive(service, row) else ("DOWN" if row["forced_down"] else "UNKNOWN")
            )
            statuses[row["name"]] = "MAINTENANCE" if row["disabled"] else up
    return Context(
        service,
        disks,
        nics,
        statuses,
        {},
        call.may("os_compute_api:os-extended-server-attributes"),
        call.may("os_compute_api:servers:show:flavor-extra-specs", of=own),
    )


def brief(call: Call, row: Row) -> dict[str, Any]:
    """A server in a list without details."""
    return {"id": row["id"], "name": row["name"], "links": links(call, "servers", row["id"])}


def host_id(row: Row) -> str:
    """A host's name that tells nothing of it, and is the same for servers of one project on one host."""
    if not row["host"]:
        return ""
    return hashlib.sha224((row["project_id"] + row["host"]).encode()).hexdigest()


def addresses(nics: Sequence[Row]) -> dict[str, list[dict[str, Any]]]:
    """Addresses by the name of the network."""
    found: dict[str, list[dict[str, Any]]] = {}
    for nic in nics:
        for one in nic["addresses"]:
            found.setdefault(nic["network_name"], []).append(
                {
                    "version": 6 if ":" in one["addr"] else 4,
                    "addr": one["addr"],
                    "OS-EXT-IPS:type": one["type"],
                    "OS-EXT-IPS-MAC:mac_addr": nic["mac"],
                }
            )
    return found


def flavor_shown(call: Call, flavor: Row, *, specs: bool) -> dict[str, Any]:
    """The flavor inside a server."""
    if call.microversion < (2, 47):
        return {"id": flavor["id"], "links": bookmark(call, "flavors", flavor["id"])}
    shown: dict[str, Any] = {
        "vcpus": flavor["vcpus"],
        "ram": flavor["ram_mb"],
        "disk": flavor["disk_gb"],
        "ephemeral": flavor["ephemeral_gb"],
        "swap": flavor["swap_mb"],
        "original_name": flavor["name"],
    }
    if specs:
        shown["extra_specs"] = flavor["extra_specs"]
    return shown


def image_shown(call: Call, row: Row) -> Any:
    """The image inside a server; text when it was booted from a volume."""
    if not row["image_id"]:
        return ""
    shown: dict[str, Any] = {
        "id": row["image_id"],
        "links": bookmark(call, "images", row["image_id"]),
    }
    if call.microversion >= (2, 98):
        shown["properties"] = row["image"].get("properties", {})
    return shown


def volumes_shown(call: Call, disks: Sequence[Row]) -> list[dict[str, Any]]:
    """Attached volumes; the server's own disk is none."""
    found: list[dict[str, Any]] = []
    for disk in disks:
        if disk["hidden"] or not disk["volume_id"] or disk["source"] == "rescue":
            continue
        one: dict[str, Any] = {"id": disk["volume_id"]}
        if call.microversion >= (2, 3):
            one["delete_on_termination"] = disk["delete_with_server"]
        found.append(one)
    return found


def full(call: Call, row: Row, context: Context, *, single: bool = True) -> dict[str, Any]:
    """A server with everything. `single`: shown by itself, which tells a little more than a list."""
    version = call.microversion
    status = states.status_of(row["vm_state"], row["task_state"])
    disks, nics = context.disks.get(row["id"], []), context.nics.get(row["id"], [])
    shown: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"],
        "status": status,
        "tenant_id": row["project_id"],
        "user_id": row["user_id"],
        "metadata": row["metadata"],
        "hostId": host_id(row),
        "image": image_shown(call, row),
        "flavor": flavor_shown(call, row["flavor"], specs=context.specs and version >= (2, 47)),
        "created": instant(row["created_us"]),
        "updated": instant(row["updated_us"]),
        "addresses": addresses(nics),
        "accessIPv4": row["access_ipv4"] or "",
        "accessIPv6": row["access_ipv6"] or "",
        "links": links(call, "servers", row["id"]),
        "OS-DCF:diskConfig": row["disk_config"],
        "OS-EXT-AZ:availability_zone": row["availability_zone"] if row["host"] else "",
        "config_drive": "True" if row["config_drive"] else "",
        "key_name": row["key_name"],
        "OS-SRV-USG:launched_at": precise(row["launched_us"]),
        "OS-SRV-USG:terminated_at": precise(row["terminated_us"]),
        "OS-EXT-STS:task_state": row["task_state"],
        "OS-EXT-STS:vm_state": row["vm_state"],
        "OS-EXT-STS:power_state": states.POWER_NUMBERS[row["seen_power"]],
        "os-extended-volumes:volumes_attached": volumes_shown(call, disks),
    }
    if status in IN_PROGRESS:
        shown["progress"] = row["progress"]
    if row["fault"] and status in {"ERROR", "DELETED"}:
        shown["fault"] = fault_shown(row["fault"])
    if row["security_groups"]:
        shown["security_groups"] = [{"name": name} for name in row["security_groups"]]
    if context.admin:
        shown |= for_admins(call, row)
    shown |= by_version(call, row, context)
    if single and version >= (2, 71):
        shown["server_groups"] = [row["group_id"]] if row["group_id"] else []
    return shown


def fault_shown(fault: Row) -> dict[str, Any]:
    """Why a server is in error."""
    return {
        "code": fault["code"],
        "created": instant(fault["created_us"]),
        "message": fault["message"],
    }


def for_admins(call: Call, row: Row) -> dict[str, Any]:
    """Where a server is, and what it is called there."""
    found: dict[str, Any] = {
        f"{ATTRIBUTE}host": row["host"],
        f"{ATTRIBUTE}hypervisor_hostname": row["host"],
        f"{ATTRIBUTE}instance_name": f"instance-{row['number']:08x}",
    }
    if call.microversion >= (2, 3):
        found |= {
            f"{ATTRIBUTE}reservation_id": row["reservation_id"],
            f"{ATTRIBUTE}launch_index": row["launch_index"],
            f"{ATTRIBUTE}hostname": row["hostname"],
            f"{ATTRIBUTE}kernel_id": "",
            f"{ATTRIBUTE}ramdisk_id": "",
            f"{ATTRIBUTE}root_device_name": f"/dev/{row['root_device']}",
            f"{ATTRIBUTE}user_data": row["user_data"],
        }
    return found


def by_version(call: Call, row: Row, context: Context) -> dict[str, Any]:
    """What later versions added."""
    version = call.microversion
    shown: dict[str, Any] = {}
    if version >= (2, 9):
        shown["locked"] = row["locked"]
    if version >= (2, 16) and context.host_status:
        shown["host_status"] = context.host_status.get(row["host"] or "", "")
    if version >= (2, 19):
        shown["description"] = row["description"]
    if version >= (2, 26):
        shown["tags"] = row["tags"]
    if version >= (2, 63):
        shown["trusted_image_certificates"] = None
    if version >= (2, 73):
        shown["locked_reason"] = row["locked_reason"]
    if version >= (2, 90):
        shown[f"{ATTRIBUTE}hostname"] = row["hostname"]
    if version >= (2, 96):
        shown["pinned_availability_zone"] = row["pinned_zone"]
    return shown


async def view(db: Connection, service: Service, call: Call, row: Row) -> dict[str, Any]:
    """One server in full."""
    return full(call, row, await context_of(db, service, call, [row]))


async def reread(db: Connection, row: Row) -> Row:
    """A server as it is now."""
    found = await rows.by_id(db, servers.TABLE, row["id"])
    assert found is not None
    return found
