"""How much the collector writes: the library itself, on objects that forget what is in them.

`amplification` overwrites a full volume uniformly at random and counts the blocks that went into the log for each that
was written. Checkpoints are counted in bytes beside it.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from sim.block_crash import in_virtual_time
from sim.block_world import CrashObjects
from sim.env import SimEnv
from volume.entry import decode_footer, footer_bytes
from volume.keys import MemoryKeys
from volume.library import StoreVolumes
from volume.objects import Piece
from volume.port import BLOCK_BYTES
from volume.site import site_of
from volume.tuning import STANDARD, Tuning

TAIL_BYTES = 64 * 1024


class Figures(NamedTuple):
    """Of the overwriting alone: blocks written by the client, blocks in log entries, bytes of checkpoints.

    `fullness`: live blocks of all that the log held, averaged over the second half.
    """

    written: int
    logged: int
    checkpoint_bytes: int
    fullness: float

    @property
    def amplification(self) -> float:
        """Blocks logged for each that was written."""
        return self.logged / self.written


class HollowObjects(CrashObjects):
    """Keeps the footers of entries and forgets their data: it reads as zeros."""

    def __init__(self) -> None:
        super().__init__({}, random.Random(1))
        self.logged = 0
        self.checkpoint_bytes = 0
        self._sizes: dict[str, int] = {}
        self._zeros = bytes(8 << 20)

    async def add(self, volume: str, name: str, body: bytes, mark: str) -> None:
        """See the protocol."""
        if not name.startswith("log/"):
            self.checkpoint_bytes += len(body) if name.startswith("map/") else 0
            await super().add(volume, name, body, mark)
            return
        self.logged += decode_footer(body).blocks
        self._sizes[name] = len(body)
        await super().add(volume, name, body[-footer_bytes(body) :], mark)

    async def find(self, volume: str, name: str) -> Piece:
        """See the protocol."""
        piece = await super().find(volume, name)
        if name not in self._sizes:
            return piece
        return piece._replace(size=self._sizes[name], inline=None)

    async def read(self, piece: Piece, start: int, length: int) -> bytes | memoryview:
        """See the protocol."""
        if piece.name not in self._sizes:
            return await super().read(piece, start, length)
        footer = self.world[piece.volume][piece.name].body
        gap = piece.size - len(footer)
        if start + length <= gap:
            return memoryview(self._zeros)[:length]
        data = bytes(max(0, gap - start)) + footer[max(0, start - gap) :]
        return data[:length]


def amplification(
    blocks: int, turns: float, *, seed: int = 1, tuning: Tuning = STANDARD
) -> Figures:
    """Fill a volume of so many blocks, then overwrite `turns` times as many at random; count the last half."""

    async def run(env: SimEnv) -> Figures:
        objects = HollowObjects()
        volumes = StoreVolumes(site_of(env, objects, MemoryKeys(env), tuning))
        await volumes.create("v", blocks * BLOCK_BYTES)
        disk = await volumes.attach("v", "test")
        chance, data, step = random.Random(seed), bytes(BLOCK_BYTES), tuning.batch_blocks
        for block in range(0, blocks, step):
            await disk.write(block * BLOCK_BYTES, data * min(step, blocks - block))
        await disk.flush()
        count, start, full = int(blocks * turns), (0, 0), list[float]()
        ledger = disk.window.progress.ledger
        for number in range(count):
            if number == count // 2:
                start = (objects.logged, objects.checkpoint_bytes)
            await disk.write(chance.randrange(blocks) * BLOCK_BYTES, data)
            if number % step == 0:
                await disk.flush()
                await disk.upkeep.idle()
                if number > count // 2:
                    full.append(ledger.live_blocks / (ledger.blocks - ledger.dead_blocks))
        return Figures(
            count - count // 2,
            objects.logged - start[0],
            objects.checkpoint_bytes - start[1],
            sum(full) / max(1, len(full)),
        )

    return in_virtual_time(run, seed)
