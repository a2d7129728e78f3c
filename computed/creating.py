"""New servers: rows, quotas, a host and a claim, in one transaction; the rest is work."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from computed import flavors, hosts, making, placing, quotas, servers, states
from computed.api.shape import truth
from computed.deeds.job import fault_of
from computed.making import Nics
from computed.outside import ImageInfo
from computed.port import ABSENT, STOPPED
from computed.service import Service
from computed.tables import flavor as flavor_tables
from computed.tables import host as host_tables
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.database import Connection
from core.rows import Row

BUILD_S = 900  # an image may have to be converted first
SERVER_COUNT_MAX = 1000


class Wanted(NamedTuple):
    """What a request asks for, looked up and checked."""

    given: Row
    flavor: Row
    image: ImageInfo | None
    disks: list[Row]
    nics: Nics
    groups: list[str]
    zone: str
    host: str
    hints: Row
    least: int
    most: int


def counts_of(given: Row) -> tuple[int, int]:
    """The least and the most servers asked for. Raises Fault 400."""
    least = int(given.get("min_count") or 1)
    most = int(given.get("max_count") or least)
    if least > most:
        raise bad_request("min_count must be <= max_count")
    if most > SERVER_COUNT_MAX:
        raise bad_request(f"max_count must be <= {SERVER_COUNT_MAX}")
    return least, most


async def zone_of(db: Connection, call: Call, given: Row) -> tuple[str, str]:
    """Zone and host asked for (`zone:host` is an administrator's way). Raises Fault 400, 403."""
    zone, _, rest = str(given.get("availability_zone") or "").partition(":")
    host = rest.partition(":")[0] or rest.partition(":")[2]
    target = {"project_id": call.identity.project_id, "user_id": call.identity.user_id}
    if host:
        call.allow("os_compute_api:servers:create:forced_host", of=target)
    named = given.get("host") or given.get("hypervisor_hostname")
    if named:
        call.allow("os_compute_api:servers:create:requested_destination", of=target)
        if host:
            raise bad_request("A host is named twice.")
        host = str(named)
        if await hosts.named(db, host) is None:
            raise bad_request(f"Compute host {host[:80]} could not be found.")
    if zone and zone not in await hosts.zones(db):
        raise bad_request("The requested availability zone is not available")
    return zone, host


async def keypair_of(db: Connection, call: Call, name: str | None) -> Row | None:
    """The caller's key pair. Raises Fault 400."""
    if name is None:
        return None
    table = flavor_tables.keypair
    same = (table.c.user_id == call.identity.user_id, table.c.name == name)
    row = await rows.first(db, sa.select(table).where(*same))
    if row is None:
        raise bad_request("Invalid key_name provided.")
    return row


async def group_of(db: Connection, call: Call, hints: Row) -> Row | None:
    """The server group that a hint names. Raises Fault 400, 403."""
    group_id = hints.get("group")
    if not group_id:
        return None
    row = await rows.by_id(db, host_tables.server_group, group_id)
    if row is None or row["project_id"] != call.identity.project_id:
        raise bad_request(f"Instance group {group_id} could not be found.")
    table = servers.TABLE
    count = await rows.count(db, table, table.c.group_id == group_id, table.c.deleted_us == 0)
    limits = await quotas.limits_of(db, row["project_id"])
    if 0 <= limits["server_group_members"] < count + 1:
        raise Fault(403, "Quota exceeded, too many servers in group")
    return row


async def look_up(service: Service, call: Call, given: Row, hints: Row) -> Wanted:
    """All that a request names. Raises Fault 400, 403, 409."""
    image = None
    least, most = counts_of(given)
    if given.get("imageRef"):
        image = await making.image_of(service, call, given["imageRef"])
    async with service.database.read() as db:
        flavor = await making.flavor_of(db, call, given["flavorRef"])
        zone, host = await zone_of(db, call, given)
    if image is not None:
        making.check_size(image, flavor, local=not given.get("block_device_mapping_v2"))
    groups = list(
        dict.fromkeys(one.get("name", "default") for one in given.get("security_groups") or ())
    )
    groups = groups or ["default"]
    disks = await making.disks_of(service, call, given, image=image, flavor=flavor)
    nics = await making.nics_of(service, call, given, groups)
    if most > 1 and any(row["source"] == "volume" for row in disks):
        raise bad_request("Cannot attach one or more volumes to multiple instances")
    if most > 1 and any(row["port_id"] or row["asked"].get("address") for row in nics.rows):
        raise bad_request("Unable to launch multiple instances with a single configured port ID.")
    if nics.allocate:
        network_id = await making.default_network(service, call)
        nics = Nics([making.nic_row(service, network_id)])
    return Wanted(given, flavor, image, disks, nics, groups, zone, host, hints, least, most)


async def create(db: Connection, service: Service, call: Call, wanted: Wanted) -> list[Row]:
    """Write the servers. Raises Fault 400, 403 (quota), in which case nothing is written."""
    given, identity = wanted.given, call.identity
    flavor = await flavors.get(db, wanted.flavor["id"])
    keypair = await keypair_of(db, call, given.get("key_name"))
    group = await group_of(db, call, wanted.hints)
    await check_items(db, identity.project_id, given)
    count = wanted.most
    await quotas.check(
        db,
        identity.project_id,
        identity.user_id,
        {
            "instances": count,
            "cores": count * flavor["vcpus"],
            "ram": count * flavor["ram_mb"],
        },
    )
    reservation_id = "r-" + service.env.random_bytes(4).hex()
    number = await hosts.next_number(db, servers.TABLE)
    found = []
    for index in range(count):
        name = given["name"] if count == 1 else f"{given['name']}-{index + 1}"
        row = server_row(service, call, wanted, name=name, keypair=keypair)
        row |= {
            "number": number + index,
            "launch_index": index,
            "reservation_id": reservation_id,
            "group_id": group["id"] if group else None,
        }
        found.append(await _begin(db, service, call, row, wanted))
    return found


async def check_items(db: Connection, project_id: str, given: Row) -> None:
    """Raises Fault 403 for more metadata or files than a server may have."""
    files = given.get("personality") or []
    counts = {
        "metadata_items": len(given.get("metadata") or {}),
        "injected_files": len(files),
        "injected_file_path_bytes": max((len(one["path"]) for one in files), default=0),
        "injected_file_content_bytes": max(
            (len(one.get("contents", "")) * 3 // 4 for one in files), default=0
        ),
    }
    for name, count in counts.items():
        if count:
            await quotas.check_items(db, project_id, name, count)


def server_row(
    service: Service, call: Call, wanted: Wanted, *, name: str, keypair: Row | None
) -> Row:
    """A server that is about to be built."""
    given, identity, now_us = wanted.given, call.identity, service.now_us()
    server_id = service.new_id()
    hints = dict(wanted.hints)
    return {
        "id": server_id,
        "project_id": identity.project_id,
        "user_id": identity.user_id,
        "name": name,
        "hostname": given.get("hostname") or making.hostname_of(name, server_id),
        "description": given.get("description", name if call.microversion < (2, 19) else None),
        "vm_state": states.BUILDING,
        "task_state": "scheduling",
        "power": STOPPED,
        "orders": [],
        "order_number": 0,
        "present": False,
        "seen_power": ABSENT,
        "seen_order": 0,
        "seen": {"disks": [], "interfaces": []},
        "seen_fault": "",
        "seen_vnc": 0,
        "image_id": wanted.image.id if wanted.image else "",
        "image": making.frozen_image(wanted.image) if wanted.image else {},
        "flavor": flavors.frozen(wanted.flavor),
        "flavor_id": wanted.flavor["id"],
        "old_flavor": None,
        "old_host": None,
        "key_name": keypair["name"] if keypair else None,
        "key_data": keypair["public_key"] if keypair else None,
        "user_data": given.get("user_data") or None,
        "config_drive": truth(given.get("config_drive", False)),
        "files": {one["path"]: one.get("contents", "") for one in given.get("personality") or ()},
        "availability_zone": wanted.zone,
        "pinned_zone": wanted.zone or None,
        "host": None,
        "metadata": given.get("metadata") or {},
        "tags": sorted(given.get("tags") or []),
        "security_groups": wanted.groups,
        "hints": hints,
        "rescue": None,
        "locked": False,
        "locked_reason": None,
        "locked_by": None,
        "access_ipv4": making.canonical(given.get("accessIPv4")),
        "access_ipv6": making.canonical(given.get("accessIPv6")),
        "disk_config": given.get("OS-DCF:diskConfig") or "MANUAL",
        "root_device": wanted.disks[0]["device"],
        "fault": None,
        "password": None,
        "progress": 0,
        "created_us": now_us,
        "updated_us": now_us,
        "launched_us": None,
        "terminated_us": None,
        "deleted_us": 0,
    }


async def _begin(db: Connection, service: Service, call: Call, row: Row, wanted: Wanted) -> Row:
    """Write one server with its disks and interfaces; place it, or say why it cannot be."""
    await rows.insert(db, servers.TABLE, row)
    for table, parts in ((servers.DISKS, wanted.disks), (servers.NICS, wanted.nics.rows)):
        for part in parts:
            fresh = {**making.plain(part), "id": service.new_id(), "server_id": row["id"]}
            await rows.insert(db, table, fresh)
    action_id = await servers.note(
        db, service, call, row["id"], "create", event="compute__do_build_and_run_instance"
    )
    ask = await placing.ask_of(db, row, host=wanted.host)
    verdict = await placing.place(db, service, row, ask)
    changes: dict[str, Any]
    if verdict.host is None:
        why = verdict.summary()
        changes = {
            "vm_state": states.ERROR,
            "task_state": None,
            "fault": fault_of(service, why),
        }
        await servers.conclude(db, service, action_id, host=None, error=why)
        # nothing was made for it, and nothing of the caller's may stay bound to it
        await drop_parts(db, row["id"])
    else:
        changes = {"host": verdict.host.name, "availability_zone": verdict.host.zone}
        await servers.promise(
            db, service, call, "server.build", row["id"], deadline_s=BUILD_S, action_id=action_id
        )
    await rows.update(db, servers.TABLE, row["id"], changes)
    return {**row, **changes}


async def drop_parts(db: Connection, server_id: str) -> None:
    """Forget disks and interfaces of which nothing was made."""
    for table in (servers.DISKS, servers.NICS):
        await rows.delete(db, table, table.c.server_id == server_id)
