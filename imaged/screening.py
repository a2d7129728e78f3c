"""The gate in front of every consumer: the bytes of an image are looked at before anything else sees them."""

from __future__ import annotations

from imaged.formats.detect import detect
from imaged.formats.finding import READ_BYTES_MAX, Finding
from volume.port import Disk

LOOK_COUNT_MAX = 64


async def screen(disk: Disk, size: int) -> Finding:
    """What the first `size` bytes of a volume are. Raises Unavailable, Corrupt."""
    parser = detect(size)
    try:
        need = next(parser)
        for _ in range(LOOK_COUNT_MAX):
            end = min(need.offset + min(need.length, READ_BYTES_MAX), size)
            data = await disk.read(need.offset, end - need.offset) if need.offset < end else b""
            need = parser.send(data)
    except StopIteration as done:
        finding: Finding = done.value
        return finding
    return Finding("endless", None, ("its header leads in circles",))
