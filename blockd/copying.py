"""Bytes from one volume of the library to another, holes left out."""

from __future__ import annotations

from volume.port import Disk, Volumes

PIECE_BYTES = 1 << 20
WINDOW_BYTES = 1 << 30


async def copy(volumes: Volumes, source_id: str, snapshot_id: str, target_id: str) -> None:
    """Write what a position of one volume holds into another that is empty and not attached."""
    source = await volumes.view(source_id, snapshot_id=snapshot_id)
    try:
        target = await volumes.attach(target_id, "copy")
        try:
            await pour(source, target)
        finally:
            await target.close()
    finally:
        await source.close()


async def pour(source: Disk, target: Disk) -> None:
    """The same for disks that are open."""
    for start in range(0, source.size, WINDOW_BYTES):
        window = min(WINDOW_BYTES, source.size - start)
        for extent in await source.extents(start, window):
            if not extent.data:
                continue
            end = extent.offset + extent.length
            for offset in range(extent.offset, end, PIECE_BYTES):
                length = min(PIECE_BYTES, end - offset)
                await target.write(offset, await source.read(offset, length))
    await target.flush()
