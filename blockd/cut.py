"""Before a position of a volume is remembered, what the clients of its exports have written is made durable.

A volume that nobody has attached has no export, so the block daemon is not asked and may be down.
"""

from __future__ import annotations

from blockd.attachments import TABLE
from blockd.service import Service
from blockd.volumes import TABLE as VOLUMES
from core import rows


async def attached(service: Service, engine_id: str) -> bool:
    """Whether an attachment of the volume behind a volume of the library is open."""
    async with service.database.read() as db:
        return (
            await rows.count(
                db,
                TABLE.join(VOLUMES, VOLUMES.c.id == TABLE.c.volume_id),
                VOLUMES.c.engine_id == engine_id,
                TABLE.c.status != "reserved",
            )
            > 0
        )


async def flush(service: Service, engine_id: str) -> None:
    """Make durable what clients have written. Raises Unavailable while the daemon of an attached volume is down."""
    if await attached(service, engine_id):
        await service.exports.flush(engine_id)
