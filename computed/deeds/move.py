"""A server on another host or of another size: resized, migrated, evacuated, shelved and back. Its disks are on the ring and stay there."""

from __future__ import annotations

from computed import claims, servers, states
from computed.deeds import parts
from computed.deeds.build import is_gone_or_lost
from computed.deeds.images import image_of
from computed.deeds.job import Deed, Finish, Job, ended, fault_of
from computed.port import RUNNING, STOPPED
from computed.service import Service
from computed.tables import host as tables
from core import rows
from core.database import Connection
from core.rows import Row

MIGRATIONS = tables.migration


async def bring(job: Job, host: str, *, power_on: bool) -> None:
    """Disks and ports to a host, and the machine there; it has left the one before."""
    for disk in await job.disks():
        if disk["connection"] and disk["connection"].get("at") != host:
            await parts.release_disk(job, disk)
    await parts.make_disks(job, host)
    await parts.make_nics(job, host)
    await job.change(present=True)
    if power_on:
        await job.on()
        await parts.complete_disks(job)
    else:
        await job.off()
        await parts.complete_disks(job)


async def resize(service: Service, work: Row) -> Finish:
    """Off, to its new size and host, and on; both claims stay until it is confirmed or reverted."""
    job = Job(service, work)
    asked = job.asked
    row = await job.server()
    if row["flavor"] != asked["flavor"] or row["host"] != asked["host"]:
        await job.change(task_state="resize_migrating")
        await job.off()
        if row["host"] != asked["host"]:
            await job.change(present=False)
            await job.until(is_gone_or_lost(service))
        await _take_size(job, row, asked["flavor"], asked["host"], asked["migration_id"])
    await job.change(task_state="resize_finish")
    await bring(job, asked["host"], power_on=asked["was"] == states.ACTIVE)

    async def finish(db: Connection) -> None:
        await _migration(db, service, asked["migration_id"], "finished")
        await ended(job, db, states.RESIZED, launched_us=service.now_us(), fault=None, progress=100)

    return finish


async def _take_size(job: Job, row: Row, flavor: Row, host: str, migration_id: str) -> None:
    async with job.service.database.write() as db:
        columns = {
            "flavor": flavor,
            "flavor_id": flavor["id"],
            "old_flavor": row["flavor"],
            "old_host": row["host"],
            "host": host,
            "seen_power": row["seen_power"] if host == row["host"] else "absent",
        }
        await _migration(db, job.service, migration_id, "post-migrating")
        await servers.change(db, job.service, job.server_id, **columns)
    job.service.wanted.wake()


async def _migration(db: Connection, service: Service, migration_id: str, status: str) -> None:
    changes = {"status": status, "updated_us": service.now_us()}
    await rows.update(db, MIGRATIONS, migration_id, changes)


async def give_up_resize(service: Service, db: Connection, work: Row, reason: str) -> None:
    """In error where it is now; of the two claims the one of that place stays."""
    job = Job(service, work)
    row = await rows.by_id(db, servers.TABLE, job.server_id)
    if row is None:
        return
    migration_id = job.asked["migration_id"]
    owner = {"project_id": row["project_id"], "user_id": row["user_id"]}
    if row["old_flavor"] is None:  # it has not moved: back to the old claim
        await claims.release(db, service, job.server_id)
        await claims.move(db, service, migration_id, job.server_id, owner=owner)
    else:
        await claims.release(db, service, migration_id)
    await _migration(db, service, migration_id, "error")
    why = row["seen_fault"] or reason
    await ended(
        job,
        db,
        states.ERROR,
        error=why,
        fault=fault_of(service, f"The server could not be resized: {why}"),
        old_flavor=None,
        old_host=None,
    )


async def revert(service: Service, work: Row) -> Finish:
    """Back to the size and the host before; a disk that has grown stays as large."""
    job = Job(service, work)
    row = await job.server()
    asked = job.asked
    if row["old_flavor"] is not None:
        await job.off()
        if row["host"] != asked["host"]:
            await job.change(present=False)
            await job.until(is_gone_or_lost(service))
        async with service.database.write() as db:
            owner = {"project_id": row["project_id"], "user_id": row["user_id"]}
            await claims.release(db, service, job.server_id)
            await claims.move(db, service, asked["migration_id"], job.server_id, owner=owner)
            await servers.change(
                db,
                service,
                job.server_id,
                flavor=row["old_flavor"],
                flavor_id=row["old_flavor"]["id"],
                host=asked["host"],
                old_flavor=None,
                old_host=None,
                seen_power=row["seen_power"] if row["host"] == asked["host"] else "absent",
            )
    await bring(job, asked["host"], power_on=asked["power_on"])
    end = states.ACTIVE if asked["power_on"] else states.STOPPED

    async def finish(db: Connection) -> None:
        await _migration(db, service, asked["migration_id"], "reverted")
        await ended(job, db, end, launched_us=service.now_us())

    return finish


async def give_up(service: Service, db: Connection, work: Row, reason: str) -> None:
    """In error where it is."""
    job = Job(service, work)
    row = await rows.by_id(db, servers.TABLE, job.server_id)
    why = (row or {}).get("seen_fault") or reason
    await ended(job, db, states.ERROR, error=why, fault=fault_of(service, why))
    if job.asked.get("migration_id"):
        await _migration(db, service, job.asked["migration_id"], "error")


async def evacuate(service: Service, work: Row) -> Finish:
    """Away from a host that is down. Its block daemon may come back: attachments there are ended first, so it cannot write."""
    job = Job(service, work)
    asked = job.asked
    await bring(job, asked["host"], power_on=asked["power_on"])
    end = states.ACTIVE if asked["power_on"] else states.STOPPED

    async def finish(db: Connection) -> None:
        await _migration(db, service, asked["migration_id"], "done")
        await ended(job, db, end, launched_us=service.now_us(), fault=None)

    return finish


async def shelve(service: Service, work: Row) -> Finish:
    """Off, an image of its disk (no bytes are copied), and away from its host, whose resources others may have."""
    job = Job(service, work)
    row = await job.server()
    if row["present"]:
        await job.off()
        if job.asked.get("image_id"):
            await job.change(task_state="shelving_image_uploading")
            await image_of(job, job.asked["image_id"])
        await job.change(task_state="shelving_offloading", present=False)
    await job.until(is_gone_or_lost(service))
    for disk in await job.disks():
        await parts.hold_disk(job, disk)
    for nic in await job.nics():
        if nic["port_id"] and nic["asked"].get("bound"):
            await job.change_nic(nic["id"], asked={**nic["asked"], "bound": ""})

    async def finish(db: Connection) -> None:
        await claims.release(db, service, job.server_id)
        await ended(job, db, states.OFFLOADED, host=None, power=STOPPED, orders=[])

    return finish


async def unshelve(service: Service, work: Row) -> Finish:
    """On a host again, as it was; the image is not needed any more."""
    job = Job(service, work)
    row = await job.server()
    await bring(job, row["host"], power_on=True)
    if job.asked.get("image_id"):
        await service.images.delete(job.asked["image_id"])

    async def finish(db: Connection) -> None:
        kept = {name: value for name, value in row["hints"].items() if name != "shelved_image"}
        await ended(job, db, states.ACTIVE, launched_us=service.now_us(), hints=kept, power=RUNNING)

    return finish


async def give_up_unshelve(service: Service, db: Connection, work: Row, reason: str) -> None:
    """Shelved as before; the claim is given back."""
    job = Job(service, work)
    await claims.release(db, service, job.server_id)
    await ended(
        job,
        db,
        states.OFFLOADED,
        error=reason,
        fault=fault_of(service, reason),
        host=None,
        present=False,
        power=STOPPED,
        orders=[],
    )


DEEDS = {
    "server.resize": Deed(resize, give_up_resize),
    "server.revert": Deed(revert, give_up),
    "server.evacuate": Deed(evacuate, give_up),
    "server.shelve": Deed(shelve, give_up),
    "server.unshelve": Deed(unshelve, give_up_unshelve),
}
