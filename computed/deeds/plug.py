"""Disks and interfaces of a server that is there already: plugged in and pulled out, whether it runs or not."""

from __future__ import annotations

from computed import servers, states
from computed.deeds import parts
from computed.deeds.job import Deed, Finish, Job
from computed.service import Service
from core import rows
from core.database import Connection
from core.rows import Row

SHELVED = frozenset({states.SHELVED, states.OFFLOADED})


async def _held(job: Job, kind: str) -> Row | None:
    found = await (job.disks() if kind == "disk" else job.nics())
    return next((one for one in found if one["id"] == job.asked["part_id"]), None)


async def _nothing(db: Connection) -> None:
    del db


def concluding(job: Job, row: Row) -> Finish:
    """The record of the action ends well."""

    async def finish(db: Connection) -> None:
        await servers.conclude(db, job.service, job.asked["action_id"], host=row["host"])

    return finish


async def attach_disk(service: Service, work: Row) -> Finish:
    """Connect the volume to the server's host and wait until the machine has it."""
    job = Job(service, work)
    row = await job.server()
    disk = await _held(job, "disk")
    if disk is None:
        return _nothing
    if row["vm_state"] in SHELVED or not row["host"]:  # kept until it is on a host again
        await parts.hold_disk(job, disk)
        return concluding(job, row)
    await parts.connect_disk(job, disk, row["host"])
    attachment_id = disk["attachment_id"]
    await job.until(lambda one: attachment_id in one["seen"]["disks"])
    await service.volumes.complete(attachment_id)
    await job.change_disk(disk["id"], plugged=True)
    return concluding(job, row)


async def give_up_attach_disk(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The volume is given back."""
    job = Job(service, work)
    await servers.conclude(db, service, job.asked["action_id"], host=None, error=reason)
    await servers.follow(db, service, work, "disk.drop", disk_id=job.asked["part_id"])


async def detach_disk(service: Service, work: Row) -> Finish:
    """Take it out of the machine, then end the attachment."""
    job = Job(service, work)
    row = await job.server()
    disk = await _held(job, "disk")
    if disk is not None:
        if disk["connection"] is not None:
            await job.change_disk(disk["id"], connection=None)
        attachment_id = disk["attachment_id"]
        if row["host"] and row["present"]:
            await job.until(lambda one: attachment_id not in one["seen"]["disks"])
        await parts.drop_disk(job, disk, with_volume=False)
    return concluding(job, row)


async def give_up_detach(service: Service, db: Connection, work: Row, reason: str) -> None:
    """It is tried again on request; the record says why it failed."""
    job = Job(service, work)
    await servers.conclude(db, service, job.asked["action_id"], host=None, error=reason)


async def attach_nic(service: Service, work: Row) -> Finish:
    """Wait until the machine has the interface."""
    job = Job(service, work)
    row = await job.server()
    nic = await _held(job, "nic")
    if nic is None:
        return _nothing
    if row["host"]:
        await parts.make_nics(job, row["host"])
    nic = await _held(job, "nic")
    if nic is not None and row["host"] and row["present"]:
        port_id = nic["port_id"]
        await job.until(lambda one: port_id in one["seen"]["interfaces"])
        await job.change_nic(nic["id"], plugged=True)
    return concluding(job, row)


async def give_up_attach_nic(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The port is given back."""
    job = Job(service, work)
    await servers.conclude(db, service, job.asked["action_id"], host=None, error=reason)
    again = {"part_id": job.asked["part_id"], "action_id": ""}
    await servers.follow(db, service, work, "nic.detach", **again)


async def detach_nic(service: Service, work: Row) -> Finish:
    """Take it out of the machine, then give the port back."""
    job = Job(service, work)
    row = await job.server()
    nic = await _held(job, "nic")
    if nic is not None:
        port_id = nic["port_id"]
        # without its address in a network the machine's definition has it no more
        await job.change_nic(nic["id"], mac="")
        if row["host"] and row["present"] and port_id:
            await job.until(lambda one: port_id not in one["seen"]["interfaces"])
        await parts.drop_nic(job, nic)
    return concluding(job, row)


async def grow_disk(service: Service, work: Row) -> Finish:
    """Tell a guest that a volume has grown."""
    job = Job(service, work)
    row = await job.server()
    number = job.asked["number"]
    if row["host"] and row["present"] and row["power"] == "running":
        await job.until(lambda one: one["seen_order"] >= number)
    return concluding(job, row)


async def refresh(service: Service, work: Row) -> Finish:
    """Look at the server's ports again: their addresses, and whether they are still there."""
    job = Job(service, work)
    row = await job.server()
    found = {port.id: port for port in await service.networks.ports_of(job.server_id)}
    for nic in await job.nics():
        port = found.get(nic["port_id"] or "")
        if port is not None:
            await job.change_nic(nic["id"], addresses=parts.shown_addresses(port))
        elif nic["port_id"] and nic["mac"] and nic["asked"].get("bound"):
            await _forget(job, nic)
    return concluding(job, row)


async def _forget(job: Job, nic: Row) -> None:
    """A port that was deleted behind the server's back."""
    async with job.service.database.write() as db:
        await rows.delete(db, servers.NICS, servers.NICS.c.id == nic["id"])
    job.service.wanted.wake()


DEEDS = {
    "disk.attach": Deed(attach_disk, give_up_attach_disk),
    "disk.detach": Deed(detach_disk, give_up_detach),
    "disk.grow": Deed(grow_disk, give_up_detach),
    "nic.attach": Deed(attach_nic, give_up_attach_nic),
    "nic.detach": Deed(detach_nic, give_up_detach),
    "nic.refresh": Deed(refresh, give_up_detach),
}
