"""The real disk and the simulated one keep the same promises."""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from core.env import Disk, File
from core.real import RealDisk, write_durably
from sim.disk import Platter, SimDisk
from sim.faults import quiet
from tests.small_disk import fill, small_disk
from tests.virtual import run as run_virtually

Work = Callable[[Disk], Coroutine[Any, Any, Any]]


def on_real_disk(path: Path) -> Callable[[Work], Any]:
    return lambda work: asyncio.run(work(RealDisk(path)))


def on_simulated_disk(capacity_bytes: int = 1 << 30) -> Callable[[Work], Any]:
    disk = SimDisk(Platter(random.Random(1), quiet(), capacity_bytes))
    return lambda work: run_virtually(lambda _: work(disk))


@pytest.fixture(params=["real", "simulated"])
def on_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Work], Any]:
    """Runs a coroutine with a fresh, empty disk; later runs see the same disk."""
    return on_real_disk(tmp_path) if request.param == "real" else on_simulated_disk()


async def whole(file: File) -> bytes:
    return await file.read(0, file.size + 10)


def test_appends_come_back_in_order(on_disk) -> None:
    """Several buffers in one append, several appends; any kind of buffer; empty ones too."""

    async def work(disk: Disk) -> None:
        file = disk.open_append("log/1")
        assert file.size == 0
        await file.append_synced([b"ab", bytearray(b"cd"), memoryview(b"xefx")[1:3], b""])
        await file.append_synced([])
        await file.append_synced([b"g" * 100_000])
        assert file.size == 100_006
        assert await whole(file) == b"abcdef" + b"g" * 100_000
        assert file.read_now(4, 4) == b"efgg"
        file.close()

    on_disk(prepared(work))


def prepared(work: Work) -> Work:
    async def with_directory(disk: Disk) -> Any:
        disk.make_directory("log")
        return await work(disk)

    return with_directory


def test_more_buffers_than_one_call_takes_are_all_written(on_disk) -> None:
    """The kernel takes 1,024 buffers at a time."""

    async def work(disk: Disk) -> bytes:
        file = disk.open_append("log/1")
        await file.append_synced([b"%04d" % n for n in range(3000)])
        data = await whole(file)
        file.close()
        return data

    assert on_disk(prepared(work)) == b"".join(b"%04d" % n for n in range(3000))


def test_reads_stop_at_the_end(on_disk) -> None:
    """Shorter only at the end of the file; empty beyond it."""

    async def work(disk: Disk) -> None:
        file = disk.open_append("log/1")
        await file.append_synced([b"0123456789"])
        assert file.read_now(7, 100) == b"789"
        assert file.read_now(10, 5) == b""
        assert await file.read(7, 100) == b"789"
        assert await file.read(0, 0) == b""
        for _ in range(20):
            cached = file.read_cached(2, 3)
            assert cached is None or bytes(cached) == b"234"
        file.close()

    on_disk(prepared(work))


def test_a_file_is_found_again_with_its_size(on_disk) -> None:
    """Opening an existing file appends behind what it has."""

    async def write(disk: Disk) -> None:
        file = disk.open_append("log/1")
        await file.append_synced([b"first"])
        file.close()

    async def go_on(disk: Disk) -> bytes:
        file = disk.open_append("log/1")
        assert file.size == 5
        await file.append_synced([b"second"])
        data = await whole(file)
        file.close()
        return data

    on_disk(prepared(write))
    assert on_disk(go_on) == b"firstsecond"


def test_a_truncated_file_goes_on_at_its_new_end(on_disk) -> None:
    """Recovery cuts a torn tail and appends there."""

    async def work(disk: Disk) -> bytes:
        file = disk.open_append("log/1")
        await file.append_synced([b"good torn"])
        file.truncate(5)
        assert file.size == 5
        await file.append_synced([b"new"])
        data = await whole(file)
        file.close()
        return data

    assert on_disk(prepared(work)) == b"good new"


def test_directories_list_their_own_entries_in_order(on_disk) -> None:
    """Sorted; a missing directory is empty; what lies deeper is not listed."""

    async def work(disk: Disk) -> None:
        assert disk.list_directory("missing") == []
        disk.make_directory("log/deeper")
        disk.make_directory("log/deeper")
        for name in ("log/b", "log/a", "log/deeper/c"):
            disk.open_append(name).close()
        names = disk.list_directory("log")
        assert [name for name in names if name != "deeper"] == ["a", "b"]
        assert disk.list_directory("log/deeper") == ["c"]

    on_disk(prepared(work))


def test_removed_files_are_gone(on_disk) -> None:
    """Removing twice is fine; a new file of the name is empty."""

    async def work(disk: Disk) -> None:
        file = disk.open_append("log/1")
        await file.append_synced([b"old"])
        file.close()
        disk.remove("log/1")
        disk.remove("log/1")
        assert disk.list_directory("log") == []
        fresh = disk.open_append("log/1")
        assert fresh.size == 0
        fresh.close()

    on_disk(prepared(work))


def test_small_files_are_replaced_whole(on_disk) -> None:
    """Missing is None; a replacement is complete; nothing else appears beside it."""

    async def work(disk: Disk) -> None:
        assert disk.read_file("log/identity") is None
        for text in (b"one", b"", b"three"):
            disk.write_file("log/identity", text)
            assert disk.read_file("log/identity") == text
        assert disk.list_directory("log") == ["identity"]

    on_disk(prepared(work))


@pytest.mark.parametrize("kind", ["real", "simulated"])
def test_a_full_disk_refuses_and_keeps_what_it_has(kind: str, tmp_path: Path) -> None:
    """ENOSPC; after a truncate to the old end nothing of the refused write is left."""

    async def work(disk: Disk) -> None:
        disk.make_directory("log")
        file = disk.open_append("log/1")
        await file.append_synced([b"kept"])
        with pytest.raises(OSError, match="space") as caught:
            await file.append_synced([bytes(8 << 20)])
        assert caught.value.errno == errno.ENOSPC
        assert file.size == 4
        file.truncate(4)
        assert await whole(file) == b"kept"
        await file.append_synced([b" and more"])
        assert await whole(file) == b"kept and more"
        file.close()

    if kind == "simulated":
        on_simulated_disk(4 << 20)(work)
        return
    with small_disk(tmp_path / "disk", 4) as path:
        on_real_disk(path)(work)


def test_a_replacement_without_room_leaves_the_old_file(tmp_path: Path) -> None:
    """The real disk: no temporary file stays behind."""
    with small_disk(tmp_path / "disk", 4) as path:
        write_durably(path / "state", b"old")
        fill(path)
        with pytest.raises(OSError, match="space"):
            write_durably(path / "state", bytes(100_000))
        assert (path / "state").read_bytes() == b"old"
        assert sorted(one.name for one in path.iterdir()) == ["filler", "state"]


def test_a_file_closed_during_reads_gives_its_descriptor_back_after_them(tmp_path: Path) -> None:
    """A descriptor's number may be used again at once; a late read must not meet another file."""

    async def work() -> None:
        disk = RealDisk(tmp_path)
        file = disk.open_append("1")
        await file.append_synced([b"x" * 1_000_000])
        reads = [asyncio.ensure_future(file.read(0, 1_000_000)) for _ in range(50)]
        await asyncio.sleep(0)
        file.close()
        others = [disk.open_append(f"other{n}") for n in range(20)]
        assert {bytes(data) for data in await asyncio.gather(*reads)} == {b"x" * 1_000_000}
        await asyncio.sleep(0)
        assert file._fd == -1
        for other in others:
            other.close()

    asyncio.run(work())


def test_an_append_that_makes_no_sense_is_answered_too(tmp_path: Path) -> None:
    """The thread that writes must outlive any mistake: everybody after it waits for it."""

    async def work() -> None:
        file = RealDisk(tmp_path).open_append("1")
        with pytest.raises(OSError, match="TypeError"):
            await file.append_synced(["no bytes"])  # type: ignore[list-item]
        await file.append_synced([b"bytes"])
        assert file.read_now(0, 9) == b"bytes"
        file.close()

    asyncio.run(work())


def test_a_power_loss_keeps_what_was_synced() -> None:
    """The simulated disk tears what was not, within what a real one may do."""
    for seed in range(200):
        platter = Platter(random.Random(seed), quiet())

        async def work(_: Any, platter: Platter = platter) -> None:
            disk = SimDisk(platter)
            file = disk.open_append("log/1")
            await file.append_synced([b"s" * 2000])
            late = asyncio.ensure_future(file.append_synced([b"u" * 3000]))
            await asyncio.sleep(0)
            disk.dead = True
            platter.crash()
            with pytest.raises(OSError, match="gone"):
                await late

        run_virtually(work)
        data = bytes(platter.files["log/1"])
        assert data[:2000] == b"s" * 2000
        assert set(data[2000:]) <= {0, ord("u")}
