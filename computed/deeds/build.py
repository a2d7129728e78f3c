"""A server made: its disks and ports, then its machine; what cannot be made is given back with a clear fault."""

from __future__ import annotations

from collections.abc import Callable

from computed import claims, servers, states
from computed.deeds import parts
from computed.deeds.job import Deed, Finish, Job, ended, fault_of, is_on
from computed.port import RUNNING, STOPPED
from computed.service import Service
from computed.tables import host as tables
from core import rows
from core.database import Connection
from core.rows import Row

LOST_AFTER_US = 20_000_000  # a host that does not even say that a machine is gone is not waited for


async def build(service: Service, work: Row) -> Finish:
    """From a row with a host to a machine that runs."""
    job = Job(service, work)
    row = await job.server()
    assert row["host"], "a server is placed before it is built"
    if not row["present"]:
        await parts.make_disks(job, row["host"])
        await job.change(task_state="networking")
        await parts.make_nics(job, row["host"])
        wish = servers.wish(await job.server(), RUNNING, "start")
        await job.change(present=True, task_state="spawning", **wish)
        row = await job.server()
    number = row["order_number"]
    await job.until(lambda one: is_on(one, number))
    await parts.complete_disks(job)

    async def finish(db: Connection) -> None:
        now_us = service.now_us()
        await ended(job, db, states.ACTIVE, launched_us=now_us, terminated_us=None, progress=100)

    return finish


async def give_up(service: Service, db: Connection, work: Row, reason: str) -> None:
    """In error, on no host; what was made is given back by work of its own."""
    job = Job(service, work)
    row = await rows.by_id(db, servers.TABLE, job.server_id)
    if row is None or row["deleted_us"] or row["task_state"] == "deleting":
        return
    why = row["seen_fault"] or reason
    await ended(
        job,
        db,
        states.ERROR,
        error=why,
        fault=fault_of(service, f"The server could not be built: {why}"),
        present=False,
        power=STOPPED,
        orders=[],
    )
    await servers.follow(db, service, work, "server.scrub")


async def scrub(service: Service, work: Row) -> Finish:
    """Take back what a server that could not be built has of others, and its claims."""
    job = Job(service, work)
    row = await job.server()
    if row["vm_state"] == states.ERROR and not row["present"]:
        await job.until(is_gone_or_lost(service))
        await parts.drop_everything(job)

    async def finish(db: Connection) -> None:
        now = await rows.by_id(db, servers.TABLE, job.server_id)
        if now is not None and now["vm_state"] == states.ERROR and not now["present"]:
            await claims.release(db, service, job.server_id)
            await servers.change(db, service, job.server_id, host=None)

    return finish


def is_gone_or_lost(service: Service) -> Callable[[Row], bool]:
    """Whether no machine is left, as far as anybody can tell."""
    began_us = service.now_us()

    def holds(row: Row) -> bool:
        late = service.now_us() - began_us > LOST_AFTER_US
        return row["host"] is None or row["seen_power"] == "absent" or late

    return holds


async def delete(service: Service, work: Row) -> Finish:
    """Remove a server and all that it had of others."""
    job = Job(service, work)
    await end_others(job)
    row = await job.server()
    if row["present"]:
        await job.change(present=False)
    await job.until(is_gone_or_lost(service))
    await parts.drop_everything(job)
    if row["hints"].get("shelved_image"):
        await service.images.delete(row["hints"]["shelved_image"])

    async def finish(db: Connection) -> None:
        now_us = service.now_us()
        await claims.release(db, service, job.server_id)
        for moved in await rows.matching(db, tables.migration, server_id=job.server_id):
            await claims.release(db, service, moved["id"])
        await servers.conclude(db, service, job.asked.get("action_id", ""), host=row["host"])
        await servers.change(
            db,
            service,
            job.server_id,
            vm_state=states.DELETED,
            task_state=None,
            deleted_us=now_us,
            terminated_us=now_us,
            host=None,
            orders=[],
        )

    return finish


async def end_others(job: Job) -> None:
    """Other work on the server ends: what nobody is at, at once; the rest at its next look."""
    table = servers.BOOK.table
    others = (table.c.subject_id == job.server_id, table.c.id != job.work["id"])
    for attempt in range(10_000):
        async with job.service.database.write() as db:
            now_us = job.service.now_us()
            free = (table.c.owner.is_(None)) | (table.c.lease_us <= now_us)
            await rows.delete(db, table, *others, free)
            if not await rows.count(db, table, *others):
                return
        job.service.reported.wake()
        await job.patience(attempt)


async def give_up_delete(service: Service, db: Connection, work: Row, reason: str) -> None:
    """It stays, in error, and may be deleted again."""
    job = Job(service, work)
    await servers.conclude(db, service, job.asked.get("action_id", ""), host=None, error=reason)
    await servers.change(
        db,
        service,
        job.server_id,
        vm_state=states.ERROR,
        task_state=None,
        fault=fault_of(service, f"The server could not be deleted: {reason}"),
    )


async def leave(service: Service, db: Connection, work: Row, reason: str) -> None:
    """Nothing to undo."""
    del service, db, work, reason


DEEDS = {
    "server.build": Deed(build, give_up),
    "server.scrub": Deed(scrub, leave),
    "server.delete": Deed(delete, give_up_delete),
}
