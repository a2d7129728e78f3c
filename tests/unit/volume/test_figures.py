"""Figures that docs/volumes-engine.md states, at a size that a test can afford."""

from __future__ import annotations

import asyncio
import random

import numpy as np
import pytest

from core.real import RealEnv
from sim.block_space import amplification
from tests.local_cluster import POLICIES
from tests.model.memory_store import MemoryStore
from volume.extent_map import ExtentMap
from volume.keys import MemoryKeys
from volume.library import volumes_on
from volume.objects import ACCOUNT
from volume.place import place_of
from volume.port import BLOCK_BYTES
from volume.state import encode_state
from volume.tuning import STANDARD

GIB_BLOCKS = (1 << 30) // BLOCK_BYTES


def random_map(gib: int, granule: int) -> ExtentMap:
    """A volume written once all over, in random order, in extents of `granule` blocks."""
    extents = ExtentMap()
    order = np.random.default_rng(1).permutation(gib * GIB_BLOCKS // granule)
    per_object = 1008 // granule
    for number, extent in enumerate(order.tolist()):
        where = place_of(1 + number // per_object, number % per_object * granule)
        extents.assign(extent * granule, granule, where)
    return extents


def test_a_tebibyte_of_64_kib_extents_takes_less_than_100_mb() -> None:
    """Measured on 4 GiB; leaves are of a fixed span, so the whole is 256 times that."""
    extents = random_map(4, 16)
    beside = 250 * len(extents.leaves)  # the objects around the numbers
    assert (extents.memory_bytes + beside) * 256 <= 100_000_000


def test_4_kib_extents_take_four_bytes_each() -> None:
    """The finest there is."""
    extents = random_map(1, 1)
    assert extents.memory_bytes == GIB_BLOCKS * 4


@pytest.mark.slow
def test_the_collector_writes_less_than_two_and_a_half_times_what_was_written() -> None:
    """Uniformly at random over a full volume, at the fill ratio that is kept by default."""
    tuning = STANDARD._replace(batch_blocks=64, collect_min_blocks=64, look_every=1)
    figures = amplification(8192, 4, tuning=tuning)
    assert figures.fullness > tuning.full_ratio - 0.02
    assert figures.amplification <= 2.5


def test_snapshots_and_clones_write_little_whatever_the_size() -> None:
    """A state or two, not a byte of data."""

    async def cost(gib: int) -> int:
        env = RealEnv()
        store = MemoryStore(env.wall_us, POLICIES)
        volumes = volumes_on(env, store, MemoryKeys(env))
        await volumes.create("v", gib << 30)
        disk = await volumes.attach("v", "test")
        chance = random.Random(gib)
        for _ in range(600):
            block = chance.randrange(gib * GIB_BLOCKS)
            await disk.write(block * BLOCK_BYTES, bytes(BLOCK_BYTES))
        await disk.flush()
        before = {where: entry.version for where, entry in store._objects.items()}
        await volumes.snapshot("v", "s")
        await volumes.clone("c", "v", "s")
        state = (await volumes._load("v")).state
        assert len(encode_state(state)) < 4096
        assert await (await volumes.view("c")).read(0, 4096) == bytes(4096)
        changed = [e for w, e in store._objects.items() if before.get(w) != e.version]
        await disk.close()
        assert {w.account for w in store._objects} == {ACCOUNT}
        return sum(len(entry.body) for entry in changed)

    for gib in (1, 100):
        assert asyncio.run(cost(gib)) < 64 * 1024
