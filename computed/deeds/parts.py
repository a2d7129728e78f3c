"""Disks and interfaces of a server made and given back: steps that may be repeated, in any state of an earlier attempt."""

from __future__ import annotations

from contextlib import suppress

from computed import servers
from computed.deeds.job import Job
from computed.outside import PortAsk, PortInfo, VolumeAsk
from core import rows
from core.errors import NotFound, Refused
from core.rows import Row

OWN_NAME = "server-disk-"


async def make_volume(job: Job, disk: Row) -> Row:
    """The volume of a disk, made (or found) and ready."""
    service = job.service
    volume_id = disk["volume_id"]
    if volume_id is None:
        source, server = disk["source"], await job.server()
        made = await service.volumes.create(
            VolumeAsk(
                OWN_NAME + disk["id"],
                max(1, disk["size_gb"]),
                disk["source_id"] if source in {"image", "rescue"} else "",
                disk["source_id"] if source == "snapshot" else "",
                disk["volume_type"] or "",
                "" if disk["hidden"] else server["project_id"],
                "" if disk["hidden"] else server["user_id"],
            )
        )
        volume_id = made.id
        await job.change_disk(disk["id"], volume_id=volume_id, connection=None)
    for attempt in range(10_000):
        await job.server()
        held = await service.volumes.show(volume_id)
        if held.status.startswith("error"):
            raise Refused("NoVolume", f"volume {volume_id} could not be made: it is {held.status}")
        if held.status not in {"creating", "downloading"}:
            break
        await job.patience(attempt)
    return {**disk, "volume_id": volume_id, "size_gb": held.size_gb}


async def connect_disk(job: Job, disk: Row, host: str) -> None:
    """Reserve and connect a disk's volume for a host."""
    volumes = job.service.volumes
    attachment_id = disk["attachment_id"]
    if attachment_id is None:
        attachment_id = await volumes.reserve(disk["volume_id"], job.server_id)
        await job.change_disk(disk["id"], attachment_id=attachment_id, size_gb=disk["size_gb"])
    if disk["connection"] is None:
        data = await volumes.connect(attachment_id, host, disk["device"].removeprefix("/dev/"))
        await job.change_disk(disk["id"], connection={**data, "at": host})


async def make_disks(job: Job, host: str) -> None:
    """All disks of a server, ready for its host."""
    for disk in await job.disks():
        if disk["source"] == "replaced":
            continue
        if disk["connection"] is None or disk["volume_id"] is None or not disk["attachment_id"]:
            made = await make_volume(job, disk) if disk["source"] != "volume" else disk
            now = next((one for one in await job.disks() if one["id"] == disk["id"]), None)
            if now is not None:
                await connect_disk(job, {**now, "size_gb": made["size_gb"]}, host)


async def complete_disks(job: Job) -> None:
    """Tell that the machine has its disks."""
    for disk in await job.disks():
        if disk["attachment_id"] and not disk["plugged"]:
            await job.service.volumes.complete(disk["attachment_id"])
            await job.change_disk(disk["id"], plugged=True)


async def release_disk(job: Job, disk: Row) -> None:
    """End a disk's attachment: its volume is free."""
    volumes = job.service.volumes
    held = {disk["attachment_id"]} if disk["attachment_id"] else set()
    if disk["volume_id"] is not None:
        with suppress(NotFound):
            held |= set(await volumes.attachments_of(disk["volume_id"], job.server_id))
    for attachment_id in sorted(held):
        await volumes.detach(attachment_id)
    await job.change_disk(disk["id"], attachment_id=None, connection=None, plugged=False)


NOWHERE = ""  # where the disks of a shelved server are connected to


async def hold_disk(job: Job, disk: Row) -> None:
    """Keep a volume for a server that is on no host: nobody else can have it meanwhile."""
    volumes = job.service.volumes
    held = disk["connection"] is not None and disk["connection"].get("at") == NOWHERE
    if disk["volume_id"] is None or (held and disk["plugged"]):
        return
    if not held:
        if disk["connection"] is not None:
            await release_disk(job, disk)
        name = await volumes.reserve(disk["volume_id"], job.server_id)
        data = await volumes.connect(name, "shelved", disk["device"])
        kept = {"attachment_id": name, "connection": {**data, "at": NOWHERE}}
        await job.change_disk(disk["id"], **kept)
        disk = {**disk, **kept}
    await volumes.complete(disk["attachment_id"])
    await job.change_disk(disk["id"], plugged=True)


async def drop_disk(job: Job, disk: Row, *, with_volume: bool | None = None) -> None:
    """Give a disk back; its volume goes when it was the server's own or was to go with it."""
    service = job.service
    await release_disk(job, disk)
    volume_id = disk["volume_id"]
    if volume_id is None and disk["source"] != "volume":
        volume_id = await _lost_volume(job, disk)
    gone = disk["delete_with_server"] if with_volume is None else with_volume
    if gone and volume_id is not None:
        await service.volumes.delete(volume_id)
    async with service.database.write() as db:
        await rows.delete(db, servers.DISKS, servers.DISKS.c.id == disk["id"])


async def _lost_volume(job: Job, disk: Row) -> str | None:
    """A volume that an attempt made and did not live to remember."""
    found = await job.service.volumes.find(OWN_NAME + disk["id"])
    return None if found is None else found.id


def ask_of(server: Row, nic: Row, host: str) -> PortAsk:
    """How a port of a server is to be. Pure."""
    return PortAsk(
        network_id=nic["network_id"],
        server_id=server["id"],
        owner=f"compute:{server['availability_zone']}",
        project_id=server["project_id"],
        host=host,
        group_ids=tuple(nic["asked"].get("group_ids", ())),
        address=str(nic["asked"].get("address", "")),
        hostname=server["hostname"],
    )


def shown_addresses(port: PortInfo) -> list[Row]:
    """A port's addresses as servers show them. Pure."""
    fixed = [{"addr": address, "type": "fixed"} for _, address in port.addresses]
    return fixed + [{"addr": address, "type": "floating"} for address in port.floating]


async def make_nics(job: Job, host: str) -> None:
    """All ports of a server, made or taken, bound to its host."""
    networks = job.service.networks
    server = await job.server()
    for nic in await job.nics():
        if nic["port_id"] and nic["asked"].get("bound") == host:
            continue
        ask = ask_of(server, nic, host)
        if nic["port_id"]:
            port = await networks.bind_port(nic["port_id"], ask)
        else:
            port = await _port_of(job, nic, ask)
        network = await networks.name(port.network_id)
        await job.change_nic(
            nic["id"],
            port_id=port.id,
            network_id=port.network_id,
            network_name=network.name,
            mac=port.mac,
            mtu=network.mtu,
            addresses=shown_addresses(port),
            asked={**nic["asked"], "bound": host},
        )


async def _port_of(job: Job, nic: Row, ask: PortAsk) -> PortInfo:
    """A port that an earlier attempt made and did not live to remember, or a new one."""
    known = {one["port_id"] for one in await job.nics()}
    for port in await job.service.networks.ports_of(job.server_id):
        if port.id not in known and port.network_id == nic["network_id"]:
            return port
    return await job.service.networks.create_port(ask)


async def drop_nic(job: Job, nic: Row) -> None:
    """Give an interface back: a port of the service's making goes, another is free again."""
    networks = job.service.networks
    if nic["port_id"] and nic["made"]:
        await networks.delete_port(nic["port_id"])
    elif nic["port_id"]:
        await networks.free_port(nic["port_id"])
    async with job.service.database.write() as db:
        await rows.delete(db, servers.NICS, servers.NICS.c.id == nic["id"])


async def drop_everything(job: Job) -> None:
    """All that a server has of others. What an attempt made without living to remember is found by the server's id."""
    for disk in await job.disks():
        await drop_disk(job, disk)
    for nic in await job.nics():
        await drop_nic(job, nic)
    for port in await job.service.networks.ports_of(job.server_id):
        await job.service.networks.delete_port(port.id)
