"""Writes that a killed daemon had taken are there again, whatever of them had been flushed."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blockd import spool as spools
from blockd.spool import Record, Spool, decode_records, encode_record, resume
from core.errors import Unavailable
from volume.memory import MemoryDisk, MemoryVolumes

SIZE = 1 << 20


@given(
    st.lists(
        st.builds(
            lambda kind, offset, data: Record(kind, offset, len(data), data if kind == 1 else b""),
            st.sampled_from([spools.WRITE, spools.ZERO, spools.ALLOCATE]),
            st.integers(0, 1 << 44),
            st.binary(max_size=50),
        ),
        max_size=6,
    ),
    st.data(),
)
def test_reading_ends_at_the_first_torn_record(records: list[Record], data: st.DataObject) -> None:
    """Wherever the file ends, and whichever bit of it has changed."""
    pieces = [encode_record(one, 7) + bytes(one.data) for one in records]
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    kept = 0
    while kept < len(pieces) and sum(map(len, pieces[: kept + 1])) <= cut:
        kept += 1
    assert [one._replace(data=bytes(one.data)) for one in decode_records(whole[:cut])] == records[
        :kept
    ]
    later = encode_record(Record(spools.ZERO, 0, 1, b""), 8)
    assert len(list(decode_records(whole + later))) == len(records) or not records
    if whole:
        spoiled = bytearray(whole)
        at = data.draw(st.integers(0, len(whole) - 1))
        spoiled[at] ^= 1 << data.draw(st.integers(0, 7))
        hit = next(n for n in range(len(pieces)) if sum(map(len, pieces[: n + 1])) > at)
        found = [one._replace(data=bytes(one.data)) for one in decode_records(bytes(spoiled))]
        assert found == records[:hit]


def test_whatever_was_flushed_every_write_is_there_after_a_kill(tmp_path: Path) -> None:
    """Random changes and flushes, then the disk loses what was not flushed; the next process has it all."""

    async def one(seed: int) -> None:
        rng = random.Random(seed)
        volumes = MemoryVolumes(lambda: 0)
        await volumes.create("v", SIZE)
        model = bytearray(SIZE)
        root = tmp_path / str(seed)
        for life in range(3):
            lossy = await volumes.attach("v", "me")
            disk = await resume(lossy, Spool(root))
            assert await disk.read(0, SIZE) == bytes(model), (seed, life)
            durable = await volumes.snapshot("v", f"life{life}")
            for step in range(60):
                offset, length = rng.randrange(SIZE - 9000), rng.randrange(1, 9000)
                kind = rng.random()
                if kind < 0.6:
                    data = rng.randbytes(length)
                    await disk.write(offset, data, durable=rng.random() < 0.1)
                    model[offset : offset + length] = data
                elif kind < 0.8:
                    await disk.zero(offset, length, allocate=rng.random() < 0.5)
                    model[offset : offset + length] = bytes(length)
                else:
                    await disk.flush()
                    durable = await volumes.snapshot("v", f"life{life}-{step}")
            await volumes.revert("v", durable.id)  # the kill: what was not flushed is gone
        assert (
            await (await resume(await volumes.attach("v", "me"), Spool(root))).read(0, SIZE)
            == model
        )

    for seed in range(20):
        asyncio.run(one(seed))


def test_a_flush_covers_only_writes_that_the_volume_has_taken(tmp_path: Path) -> None:
    """One that is still on its way stays in the spool."""

    async def work() -> None:
        volumes = MemoryVolumes(lambda: 0)
        await volumes.create("v", SIZE)
        disk = await resume(await volumes.attach("v", "me"), Spool(tmp_path))
        await disk.write(0, b"first")
        with disk._kept(Record(spools.WRITE, 100, 6, b"second")):
            await disk.flush()
        assert [bytes(one.data) for one in Spool(tmp_path).records()] == [b"first", b"second"]
        await disk.flush()
        assert list(Spool(tmp_path).records()) == []
        await disk.close()
        assert not tmp_path.exists()

    asyncio.run(work())


class Away(MemoryDisk):
    """A volume whose store cannot be reached when it is let go."""

    async def close(self) -> None:
        raise Unavailable("Away", "the store is away")


def test_what_could_not_be_flushed_stays_for_the_next_process(tmp_path: Path) -> None:
    """A daemon that ends while the store is away leaves its spool."""

    async def work() -> None:
        volumes = MemoryVolumes(lambda: 0)
        await volumes.create("v", SIZE)
        attached = await volumes.attach("v", "me")
        attached.__class__ = Away
        disk = await resume(attached, Spool(tmp_path))
        await disk.write(0, b"kept")
        with pytest.raises(Unavailable):
            await disk.close()
        assert [bytes(one.data) for one in Spool(tmp_path).records()] == [b"kept"]

    asyncio.run(work())


def test_two_flushes_at_once_drop_no_write_that_came_after_them(tmp_path: Path) -> None:
    """The later to end covers what was there when it began, though the file is as long again by then."""
    spool = Spool(tmp_path)
    spool.begin()
    spool.append(Record(spools.WRITE, 0, 4, b"once"))
    first, second = spool.mark(), spool.mark()
    spool.durable(first)
    spool.append(Record(spools.WRITE, 0, 5, b"twice"[:5]))
    spool.append(Record(spools.WRITE, 9, 4, b"more"))
    spool.durable(second)
    assert [bytes(one.data) for one in Spool(tmp_path).records()] == [b"twice", b"more"]
    spool.close(remove=True)


def test_the_spool_does_not_grow_without_end(tmp_path: Path) -> None:
    """A client that never flushes is flushed for."""

    async def work() -> None:
        volumes = MemoryVolumes(lambda: 0)
        await volumes.create("v", 8 << 20)
        disk = await resume(await volumes.attach("v", "me"), Spool(tmp_path))
        for number in range(200):
            await disk.write((number % 8) << 20, bytes([number]) * (1 << 20))
        held = sum(one.stat().st_size for one in tmp_path.iterdir())
        assert held <= spools.FLUSH_BYTES + 2 * spools.FILE_BYTES
        await disk.close()

    asyncio.run(work())
