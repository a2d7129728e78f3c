"""An image filled from a volume: the Image API is told of a frozen position, and begins a volume of its own there."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from blockd import cut, messages, volumes
from blockd.port import Place
from blockd.service import GIB, Service
from blockd.worker import Deed, Finish
from core.database import Connection
from core.errors import Conflict, NotFound, Refused, Unavailable
from core.rows import Row

_removals: set[asyncio.Task[None]] = set()  # of images; the loop itself keeps no task alive


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
    # once this transaction is over: the Image API writes to the same database
    removal = asyncio.create_task(_remove_image(service, asked["image_id"]))
    _removals.add(removal)
    removal.add_done_callback(_removals.discard)


async def _remove_image(service: Service, image_id: str) -> None:
    with suppress(NotFound, Refused, Unavailable):
        await service.images.delete(image_id)


DEEDS = {"volume.upload": Deed(upload, give_up)}
