"""A process that writes to a volume until it is fenced or killed: DATA VOLUME SEED FIRST.

Every block has the number of the write that put it there; a line with the number is printed when a flush
is answered, so that whoever reads the lines knows what must survive.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from core.installation import Installation
from core.real import RealEnv
from proxy.connect import connect
from proxy.store.verbs import ClusterStore
from sim.block_model import block_data
from volume.keys import MemoryKeys
from volume.library import volumes_on
from volume.port import BLOCK_BYTES, Fenced

BLOCKS = 2048
WRITES_MAX = 20_000


def plan(seed: int, number: int) -> tuple[int, int]:
    """(block, blocks) of a write."""
    chance = random.Random(f"{seed}/{number}")
    block = chance.randrange(BLOCKS)
    return block, min(BLOCKS - block, chance.choice([1, 1, 1, 2, 4]))


async def main(data: str, volume: str, seed: int, first: int) -> None:
    env = RealEnv()
    cluster = connect(Installation(Path(data)), env)
    await cluster.wait_up(10)
    volumes = volumes_on(env, ClusterStore(cluster), MemoryKeys(env))
    disk = await volumes.attach(volume, "writer")
    print("attached", flush=True)
    chance = random.Random(seed + first)
    try:
        for number in range(first + 1, first + WRITES_MAX):
            block, count = plan(seed, number)
            await disk.write(block * BLOCK_BYTES, block_data(number, count))
            if chance.random() < 0.05:
                await disk.flush()
                print(number, flush=True)
    except Fenced:
        print("fenced", flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
