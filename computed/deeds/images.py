"""An image of a server: a snapshot of its disk that the Image API begins a volume of its own at. No byte is copied."""

from __future__ import annotations

from computed import servers
from computed.deeds.job import Deed, Finish, Job, ended
from computed.service import Service
from core import rows
from core.database import Connection
from core.errors import NotFound, Refused
from core.rows import Row

SNAPSHOT_NAME = "server-image-"


async def image_of(job: Job, image_id: str) -> None:
    """Fill a queued image with what the server's disk holds now. Raises NotFound when it was deleted."""
    service = job.service
    root = next((disk for disk in await job.disks() if disk["boot_index"] == 0), None)
    if root is None or root["volume_id"] is None:
        raise Refused("NoDisk", "the server has no disk to make an image of")
    if not await service.images.active(image_id):
        for attempt in range(10_000):
            snapshot_id, ready = await service.volumes.snapshot(
                root["volume_id"], SNAPSHOT_NAME + image_id
            )
            if ready:
                break
            await job.patience(attempt)
        await service.images.fill(image_id, root["volume_id"], snapshot_id)
        for attempt in range(10_000):
            if await service.images.active(image_id):
                break
            await job.patience(attempt)
    snapshot_id, _ = await service.volumes.snapshot(root["volume_id"], SNAPSHOT_NAME + image_id)
    await service.volumes.delete_snapshot(snapshot_id)


async def create(service: Service, work: Row) -> Finish:
    """Make an image; the server runs on."""
    job = Job(service, work)
    await job.change(task_state="image_pending_upload")
    try:
        await image_of(job, job.asked["image_id"])
    except NotFound:
        raise Refused("Gone", "the image was deleted while it was made") from None
    rota = job.asked.get("backup")
    if rota is not None:
        held = await service.images.backups_of(job.server_id, rota["backup_type"])
        for old in held[rota["rotation"] :]:
            await service.images.delete(old)

    async def finish(db: Connection) -> None:
        row = await rows.by_id(db, servers.TABLE, job.server_id)
        await ended(job, db, (row or {})["vm_state"])

    return finish


async def give_up(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The server is as before; the image that came to nothing is removed."""
    job = Job(service, work)
    row = await rows.by_id(db, servers.TABLE, job.server_id)
    if row is not None:
        await ended(job, db, row["vm_state"], error=reason)
    await servers.follow(db, service, work, "image.remove", image_id=job.asked["image_id"])


async def remove(service: Service, work: Row) -> Finish:
    """Remove an image that came to nothing."""
    await service.images.delete(work["parameters"]["image_id"])

    async def finish(db: Connection) -> None:
        del db

    return finish


async def leave(service: Service, db: Connection, work: Row, reason: str) -> None:
    """A queued image that nobody can use is all that is left."""
    del service, db, work, reason


DEEDS = {
    "server.image": Deed(create, give_up),
    "image.remove": Deed(remove, leave),
}
