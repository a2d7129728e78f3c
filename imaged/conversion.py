"""The raw form of an image in another format, made by qemu-img in a cage, so that a volume can begin from it.

The tool sees a read-only copy, is told the format and never guesses it, and is started only for what the screening has just passed.
Its sparse output goes to a volume of its own, holes left out, and is frozen there.
"""

from __future__ import annotations

import asyncio

from core import jail
from core.errors import NotFound, Refused, Unavailable
from core.rows import Row
from imaged.content import Contents, data_runs, raw_volume, rounded
from imaged.formats.detect import CONVERTED, refusal
from imaged.library import Library
from imaged.scratch import ScratchFile, free_bytes
from imaged.screening import screen

TOOL = "qemu-img"
INSTALL = "qemu-img is not installed: `apt-get install qemu-utils` on the machine of the API"
PIECE_BYTES = 4 << 20
FREE_BYTES_MIN = 1 << 30
MEMORY_BYTES = 2 << 30
SECONDS_MIN, BYTES_A_SECOND = 120.0, 16 << 20


def installed() -> bool:
    """Whether the tool is there."""
    try:
        jail.found(TOOL)
    except NotFound:
        return False
    return True


class Converter:
    """Makes raw forms, one at a time."""

    def __init__(self, library: Library, contents: Contents) -> None:
        self._library = library
        self._contents = contents
        self._one = asyncio.Semaphore(1)

    async def convert(self, row: Row) -> int:
        """Make the raw form of an active image; returns its bytes.

        Raises Refused("NoTool", "Hostile", "TooLarge", "Unconvertible"), Unavailable.
        """
        async with self._one:
            virtual_size = await self._check(row)
            source = await self._file(f"{row['id']}.in")
            target = await self._file(f"{row['id']}.out")
            try:
                await self._copy_out(row, source)
                await self._run(row, source, target, virtual_size)
                return await self._copy_in(row["id"], target)
            finally:
                source.close()
                target.close()

    async def _file(self, name: str) -> ScratchFile:
        return await self._library.env.offload(lambda: ScratchFile(self._library.scratch, name))

    async def _check(self, row: Row) -> int:
        if not installed():
            raise Refused("NoTool", INSTALL)
        disk = await self._contents.view(row["id"], frozen=True)
        try:
            finding = await screen(disk, row["size"])
        finally:
            await disk.close()
        reason = refusal(row["disk_format"], row["container_format"], finding)
        if reason is not None or finding.virtual_size is None:
            raise Refused("Hostile", reason or "the size of the disk inside is not known")
        needed = row["size"] + finding.virtual_size
        if needed > self._library.settings.conversion_bytes_max:
            raise Refused("TooLarge", f"its conversion may take {needed} bytes of scratch space")
        free = await self._library.env.offload(lambda: free_bytes(self._library.scratch))
        if row["size"] + FREE_BYTES_MIN > free:
            raise Unavailable("NoScratch", "there is too little scratch space")
        return finding.virtual_size

    async def _copy_out(self, row: Row, source: ScratchFile) -> None:
        offset = 0
        async for chunk in self._contents.read(row["id"], 0, row["size"]):
            await self._library.env.offload(
                lambda chunk=chunk, offset=offset: source.write(offset, chunk)  # type: ignore[misc]
            )
            offset += len(chunk)

    async def _run(
        self, row: Row, source: ScratchFile, target: ScratchFile, virtual_size: int
    ) -> None:
        target.grant()
        reader = source.readable()
        command = [
            TOOL,
            "convert",
            "-f",
            CONVERTED[row["disk_format"]],
            "-O",
            "raw",
            "-S",
            "4k",
            f"/proc/self/fd/{reader}",
            f"/proc/self/fd/{target.fd}",
        ]
        seconds = SECONDS_MIN + (row["size"] + virtual_size) / BYTES_A_SECOND
        bounds = jail.Bounds(seconds, int(seconds), MEMORY_BYTES, virtual_size + (1 << 20))
        outcome = await jail.run(command, [reader, target.fd], bounds)
        if outcome.status != 0:
            why = "it took too long" if outcome.status is None else outcome.output[:300]
            raise Refused("Unconvertible", f"qemu-img could not convert the image: {why}")

    async def _copy_in(self, image_id: str, target: ScratchFile) -> int:
        volume_id, size = raw_volume(image_id), target.size()
        await self._contents.drop(volume_id, image_id)
        await self._library.volumes.create(volume_id, rounded(size))
        disk = await self._library.volumes.attach(volume_id, self._library.owner)
        try:
            for begin, length in await self._library.env.offload(lambda: list(target.data_runs())):
                for offset in range(begin, begin + length, PIECE_BYTES):
                    count = min(PIECE_BYTES, begin + length - offset)
                    piece = await self._library.env.offload(
                        lambda offset=offset, count=count: target.read(offset, count)  # type: ignore[misc]
                    )
                    for start, run in data_runs(piece):
                        await disk.write(offset + start, memoryview(piece)[start : start + run])
            await disk.flush()
        finally:
            await disk.close()
        await self._contents.freeze(image_id, volume_id)
        return size
