"""An image filled from a volume: the Image API is told of a frozen position, and begins a volume of its own there."""

from __future__ import annotations

from contextlib import suppress

from blockd import cut, messages, volumes
from blockd import work as promises
from blockd.deeds.deed import Deed, Finish
from blockd.port import Place
from blockd.service import GIB, Service
from core.database import Connection
from core.errors import Conflict
from core.rows import Row


async def upload(service: Service, work: Row) -> Finish:
    """Freeze, tell the Image API where the bytes are, and let go of the position."""
    asked = work["parameters"]
    async with service.database.read() as db:
        row = await volumes.get(db, work["subject_id"])
    image_id = asked["image_id"]
    pin = f"upload-{image_id}"
    await cut.flush(service, row["engine_id"])
    with suppress(Conflict):  # an earlier attempt has made it
        await service.volumes.snapshot(row["engine_id"], pin)
    place = Place(row["engine_id"], pin)
    await service.images.fill(image_id, place, row["size"] * GIB)
    await service.volumes.drop_snapshot(row["engine_id"], pin)

    async def finish(db: Connection) -> None:
        await volumes.change(db, service, row["id"], status=asked["back_to"])

    return finish


async def give_up(service: Service, db: Connection, work: Row, reason: str) -> None:
    """The volume is as before; the image that came to nothing is removed."""
    asked = work["parameters"]
    await volumes.change(db, service, work["subject_id"], status=asked["back_to"])
    await messages.tell(db, service, work, f"copy volume to image:{reason}")
    # not in here: the Image API writes to the same database
    await promises.follow(db, service, work, "image.remove", asked["image_id"])


async def remove_image(service: Service, work: Row) -> Finish:
    """Remove an image that came to nothing."""
    await service.images.delete(work["subject_id"])

    async def finish(db: Connection) -> None:
        del db

    return finish


async def leave(service: Service, db: Connection, work: Row, reason: str) -> None:
    """A queued image that nobody can use is all that is left."""
    del service, db, work, reason


DEEDS = {
    "volume.upload": Deed(upload, give_up),
    "image.remove": Deed(remove_image, leave),
}
