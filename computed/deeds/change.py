"""A server made anew in place: rescued with another disk, rebuilt from an image; and back again."""

from __future__ import annotations

from functools import partial

from computed import servers, states
from computed.deeds import parts
from computed.deeds.job import Deed, Finish, Job, ended, fault_of
from computed.port import STOPPED
from computed.service import Service
from core import rows
from core.database import Connection
from core.rows import Row


async def rescue(service: Service, work: Row) -> Finish:
    """Boot from a disk of another image, with the server's own disks beside it."""
    job = Job(service, work)
    row = await job.server()
    disk_id = job.asked["disk_id"]
    await parts.make_disks(job, row["host"])
    if row["rescue"] is None:
        await job.off()
        await job.change(rescue={"disk_id": disk_id})
    await job.on()
    await parts.complete_disks(job)

    async def finish(db: Connection) -> None:
        await ended(job, db, states.RESCUED)

    return finish


async def give_up_rescue(service: Service, db: Connection, work: Row, reason: str) -> None:
    """In error; the disk goes when the server does, or with the next rescue that ends."""
    job = Job(service, work)
    fault = fault_of(service, f"The server could not be rescued: {reason}")
    await ended(job, db, states.ERROR, error=reason, fault=fault, rescue=None, power=STOPPED)
    await servers.follow(db, service, work, "disk.drop", disk_id=job.asked["disk_id"])


async def unrescue(service: Service, work: Row) -> Finish:
    """Boot from its own disk again."""
    job = Job(service, work)
    row = await job.server()
    if row["rescue"] is not None:
        await job.off()
        await job.change(rescue=None)
    await job.on()
    for disk in await job.disks():
        if disk["source"] == "rescue":
            await parts.drop_disk(job, disk)

    async def finish(db: Connection) -> None:
        await ended(job, db, states.ACTIVE)

    return finish


async def give_up_power(service: Service, db: Connection, work: Row, reason: str) -> None:
    """In error; a hard reboot may help."""
    job = Job(service, work)
    row = await rows.by_id(db, servers.TABLE, job.server_id)
    why = (row or {}).get("seen_fault") or reason
    await ended(job, db, states.ERROR, error=why, fault=fault_of(service, why))


async def rebuild(service: Service, work: Row) -> Finish:
    """A fresh disk of an image in the place of the old one; the machine keeps its ports and other disks."""
    job = Job(service, work)
    row = await job.server()
    disk_id = job.asked["disk_id"]
    fresh = next((one for one in await job.disks() if one["id"] == disk_id), None)
    if fresh is not None and fresh["boot_index"] != 0:
        made = await parts.make_volume(job, fresh)
        await job.change(task_state="rebuild_spawning")
        await job.off()
        now = await _row(job, disk_id)
        await parts.connect_disk(job, {**now, "size_gb": made["size_gb"]}, row["host"])
        await _swap(job, disk_id)
    if job.asked["was"] != states.STOPPED:
        await job.on()
    else:
        await job.off()
    await parts.complete_disks(job)
    for disk in await job.disks():
        if disk["source"] == "replaced":
            await parts.drop_disk(job, disk, with_volume=True)
    end = states.STOPPED if job.asked["was"] == states.STOPPED else states.ACTIVE

    async def finish(db: Connection) -> None:
        now_us = service.now_us()
        await ended(job, db, end, fault=None, launched_us=now_us, progress=100)

    return finish


async def _row(job: Job, disk_id: str) -> Row:
    return next(one for one in await job.disks() if one["id"] == disk_id)


async def _swap(job: Job, disk_id: str) -> None:
    """The fresh disk is the one to boot from, the old one is to go."""
    async with job.service.database.write() as db:
        for disk in await servers.disks_of(db, job.server_id):
            if disk["id"] == disk_id:
                await rows.update(db, servers.DISKS, disk_id, {"boot_index": 0, "position": 0})
            elif disk["boot_index"] == 0:
                gone = {"boot_index": -1, "source": "replaced", "connection": None}
                await rows.update(db, servers.DISKS, disk["id"], gone)
    job.service.wanted.wake()


async def give_up_rebuild(service: Service, db: Connection, work: Row, reason: str) -> None:
    """In error, with the disk that it had if the new one never took its place."""
    job = Job(service, work)
    fault = fault_of(service, f"The server could not be rebuilt: {reason}")
    await ended(job, db, states.ERROR, error=reason, fault=fault)
    fresh = await rows.by_id(db, servers.DISKS, job.asked["disk_id"])
    if fresh is not None and fresh["boot_index"] != 0:
        await servers.follow(db, service, work, "disk.drop", disk_id=fresh["id"])


def lacks_disk(attachment_id: str | None, row: Row) -> bool:
    """The machine does not have a disk. Pure."""
    return attachment_id not in row["seen"]["disks"]


async def drop(service: Service, work: Row) -> Finish:
    """Give one disk back."""
    job = Job(service, work)
    for disk in await job.disks():
        if disk["id"] == job.asked["disk_id"]:
            await job.change_disk(disk["id"], connection=None)
            await job.until(partial(lacks_disk, disk["attachment_id"]))
            await parts.drop_disk(job, disk)

    async def finish(db: Connection) -> None:
        del db

    return finish


async def leave(service: Service, db: Connection, work: Row, reason: str) -> None:
    """Nothing to undo."""
    del service, db, work, reason


DEEDS = {
    "server.rescue": Deed(rescue, give_up_rescue),
    "server.unrescue": Deed(unrescue, give_up_power),
    "server.rebuild": Deed(rebuild, give_up_rebuild),
    "disk.drop": Deed(drop, leave),
}
