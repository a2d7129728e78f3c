"""A store that is full, away or forgetful: writers wait, are told, and go on when it is well again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from core.errors import Corrupt, Full, RingstackError, Unavailable, UnknownOutcome
from sim.block_crash import SMALL, in_virtual_time
from sim.block_world import CrashObjects
from sim.env import SimEnv
from volume.keys import MemoryKeys
from volume.library import StoreVolumes
from volume.objects import Piece
from volume.port import BLOCK_BYTES, Fenced
from volume.site import site_of

B = BLOCK_BYTES


class Moody(CrashObjects):
    """Raises `error` for what `concerns` says, as long as there is one."""

    def __init__(self) -> None:
        super().__init__({}, random.Random(1))
        self.error: RingstackError | None = None
        self.concerns: Callable[[str], bool] = lambda name: name.startswith("log/")
        self.reads = 0

    async def add(self, volume: str, name: str, body: bytes, mark: str) -> None:
        if self.error is not None and self.concerns(name):
            if isinstance(self.error, UnknownOutcome):
                await super().add(volume, name, body, mark)
                self.error, error = None, self.error
                raise error
            raise self.error
        await super().add(volume, name, body, mark)

    async def read(self, piece: Piece, start: int, length: int) -> bytes | memoryview:
        self.reads += 1
        return await super().read(piece, start, length)


def on_moody(work: Callable[[Moody, StoreVolumes], Awaitable[None]], **tuning: Any) -> None:
    objects = Moody()

    async def run(env: SimEnv) -> None:
        volumes = StoreVolumes(site_of(env, objects, MemoryKeys(env), SMALL._replace(**tuning)))
        await volumes.create("v", 64 * B)
        await work(objects, volumes)

    in_virtual_time(run, 1)


def test_a_full_store_is_told_at_once_and_survived() -> None:
    """What was gathered is stored when there is room again, in order."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        disk = await volumes.attach("v", "test")
        await disk.write(0, b"a" * B, durable=True)
        objects.error = Full("InsufficientStorage", "no room")
        await disk.write(B, b"b" * B)
        with pytest.raises(Full):
            await disk.flush()
        assert await disk.read(0, 2 * B) == b"a" * B + b"b" * B
        objects.error = None
        await disk.flush()
        await disk.close()
        disk = await volumes.attach("v", "test")
        assert await disk.read(0, 2 * B) == b"a" * B + b"b" * B

    on_moody(work)


def test_a_store_that_is_away_is_waited_for() -> None:
    """Up to the limit; then the flush fails, and a later one succeeds."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        disk = await volumes.attach("v", "test")
        objects.error = Unavailable("NoMajority", "nobody answers")
        await disk.write(0, b"a" * B)
        flushing = asyncio.create_task(disk.flush())
        await asyncio.sleep(3)
        assert not flushing.done()
        objects.error = None
        await flushing
        objects.error = Unavailable("NoMajority", "nobody answers")
        await disk.write(0, b"b" * B)
        with pytest.raises(Unavailable):
            await disk.flush()
        objects.error = None
        await disk.flush()
        assert await disk.read(0, B) == b"b" * B

    on_moody(work, flush_timeout_s=5.0)


def test_writers_wait_while_too_much_is_gathered() -> None:
    """Memory is bounded: the window and a batch, no more."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        disk = await volumes.attach("v", "test")
        objects.error = Unavailable("NoMajority", "nobody answers")
        taken = 0

        async def pour() -> None:
            nonlocal taken
            for number in range(200):
                await disk.write(number % 64 * B, bytes([number]) * B)
                taken += 1

        pouring = asyncio.create_task(pour())
        await asyncio.sleep(2)
        assert taken <= (SMALL.window + 2) * SMALL.batch_blocks
        objects.error = None
        await pouring
        await disk.flush()
        assert await disk.read(0, B) == bytes([192]) * B

    on_moody(work)


def test_an_entry_of_unknown_outcome_is_found_to_be_ours() -> None:
    """It is not put twice, and nobody is fenced by himself."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        disk = await volumes.attach("v", "test")
        objects.error = UnknownOutcome("UnknownOutcome", "who knows")
        await disk.write(0, b"a" * B, durable=True)
        await disk.write(B, b"b" * B, durable=True)
        assert await disk.read(0, 2 * B) == b"a" * B + b"b" * B

    on_moody(work)


def test_a_checkpoint_that_fails_is_made_up_for() -> None:
    """The next one has what it would have had."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        disk = await volumes.attach("v", "test")
        objects.concerns = lambda name: name.startswith("map/")
        objects.error = Unavailable("NoMajority", "nobody answers")
        for number in range(40):
            await disk.write(number * B, bytes([number]) * B, durable=True)
        objects.error = None
        await disk.write(0, b"x" * B, durable=True)
        await disk.upkeep.idle()
        assert (await volumes._load("v")).state.newest.position > 30
        disk.abandon()
        disk = await volumes.attach("v", "test")
        expected = b"x" * B + b"".join(bytes([number]) * B for number in range(1, 40))
        assert await disk.read(0, 40 * B) == expected

    on_moody(work)


def test_a_hole_in_the_middle_of_a_log_is_corrupt() -> None:
    """Never read over: what a snapshot needs and is not there is said."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        disk = await volumes.attach("v", "test")
        for number in range(4):
            await disk.write(number * B, b"a" * B, durable=True)
        await volumes.snapshot("v", "s")
        names = sorted(name for name in objects.world["v"] if name.startswith("log/"))
        await objects.remove("v", names[2])
        with pytest.raises(Corrupt):
            await volumes.view("v", snapshot_id="s")
        disk.abandon()

    on_moody(work)


def test_a_stale_attachment_is_fenced_even_if_it_only_now_writes() -> None:
    """Also after its branch's end was long ago collected over."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        old = await volumes.attach("v", "one")
        await old.write(0, b"a" * B, durable=True)
        new = await volumes.attach("v", "two")
        for number in range(60):
            await new.write(number * B, b"b" * B, durable=True)
        await new.upkeep.idle()
        await new.upkeep.collect_all()
        await old.write(0, b"c" * B)
        with pytest.raises(Fenced):
            await old.flush()
        assert await new.read(0, B) == b"b" * B

    on_moody(work)


def test_reading_in_order_reads_ahead_and_again_reads_nothing() -> None:
    """A cached chunk costs the store nothing; a stream asks before it is asked."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        await volumes.create("w", 1024 * B)
        disk = await volumes.attach("w", "test")
        await disk.write(0, b"d" * (1024 * B))
        await disk.flush()
        await disk.read(0, 16 * B)
        await disk.read(16 * B, 16 * B)
        await asyncio.sleep(1)
        before = objects.reads
        await disk.read(32 * B, 16 * B)
        await disk.read(40 * B, 8 * B)
        assert objects.reads == before

    on_moody(work, batch_blocks=512, cache_bytes=4 << 20, leaf_blocks=256, ahead_bytes=1 << 20)


def test_many_readers_of_one_chunk_ask_once_and_one_that_leaves_hinders_nobody() -> None:
    """Whoever waits for somebody else's read asks itself when that one was cancelled."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        await volumes.create("w", 256 * B)
        disk = await volumes.attach("w", "test")
        await disk.write(0, b"d" * (256 * B))
        await disk.flush()
        before = objects.reads
        found = await asyncio.gather(*(disk.read(B, 2 * B) for _ in range(8)))
        assert objects.reads == before + 1
        assert all(one == b"d" * 2 * B for one in found)
        leaving = asyncio.create_task(disk.read(64 * B, B))
        waiting = [asyncio.create_task(disk.read(64 * B, 40 * B)) for _ in range(3)]
        for _ in range(4):
            await asyncio.sleep(0)
        leaving.cancel()
        assert await asyncio.gather(*waiting) == [b"d" * 40 * B] * 3

    on_moody(work, batch_blocks=256, cache_bytes=4 << 20, leaf_blocks=256, ahead_bytes=0)


@pytest.mark.parametrize("seed", range(3))
def test_writers_beside_each_other_never_lose_a_byte(seed: int) -> None:
    """Parts of the same blocks, zeros and flushes, with the collector at work under them."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        del objects
        disk = await volumes.attach("v", "test")
        model = bytearray(64 * B)

        async def one(part: int) -> None:
            chance = random.Random(seed * 100 + part)
            low, high = part * 512, (part + 1) * 512
            for _ in range(60):
                start = chance.randrange(low, high)
                at = chance.randrange(64) * B + start
                data = chance.randbytes(chance.randrange(1, high - start + 1))
                if chance.random() < 0.2:
                    data = bytes(len(data))
                    await disk.zero(at, len(data))
                else:
                    await disk.write(at, data, durable=chance.random() < 0.1)
                model[at : at + len(data)] = data
                if chance.random() < 0.3:
                    assert await disk.read(at, len(data)) == data
                await asyncio.sleep(chance.random() * 0.01)

        await asyncio.gather(*(one(part) for part in range(8)))
        assert await disk.read(0, 64 * B) == model
        await disk.close()
        disk = await volumes.attach("v", "test")
        assert await disk.read(0, 64 * B) == model

    on_moody(work)


def test_a_stale_attachment_that_reads_what_was_collected_is_fenced() -> None:
    """It is not told that its volume is damaged."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        del objects
        old = await volumes.attach("v", "one")
        for number in range(40):
            await old.write(number * B, b"a" * B, durable=True)
        new = await volumes.attach("v", "two")
        for number in range(60):
            await new.write(number * B, b"b" * B, durable=True)
        await new.upkeep.idle()
        await new.upkeep.collect_all()
        with pytest.raises(Fenced):
            await old.read(0, 64 * B)
        assert await new.read(0, 60 * B) == b"b" * 60 * B

    on_moody(work)


def test_two_neighbours_are_no_stream() -> None:
    """A database that reads two pages in a row does not fetch megabytes."""

    async def work(objects: Moody, volumes: StoreVolumes) -> None:
        await volumes.create("w", 1024 * B)
        disk = await volumes.attach("w", "test")
        await disk.write(0, b"d" * (1024 * B))
        await disk.flush()
        for start in (64, 300, 700):
            await disk.read(start * B, B)
            await disk.read((start + 1) * B, B)
            await asyncio.sleep(1)
        assert objects.reads == 3

    on_moody(work, batch_blocks=512, cache_bytes=4 << 20, leaf_blocks=256, ahead_bytes=1 << 20)
