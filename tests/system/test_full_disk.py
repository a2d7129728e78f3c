"""Real disks without room: 507 for what grows, reads and deletes go on, also through kill -9."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from objectd.device import FULL_RESERVE_BYTES
from tests.running_cloud import RunningCloud
from tests.small_disk import fill, free_bytes, small_disk
from tests.system.swift import Swift

pytestmark = pytest.mark.slow

DISK_MIB = (FULL_RESERVE_BYTES >> 20) + 24
MIB = 1 << 20


@pytest.fixture
def disks(tmp_path: Path):
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(small_disk(tmp_path / f"disk{number}", DISK_MIB))
            for number in range(4)
        ]


@pytest.fixture
def cloud(tmp_path: Path, disks: list[Path]):
    running = RunningCloud(tmp_path / "data")
    running.up("--devices", ",".join(map(str, disks)))
    yield running
    running.end()


def body(number: int) -> bytes:
    return random.Random(number).randbytes(MIB)


def store_until_full(swift: Swift) -> int:
    """Objects of 1 MiB until one is refused with 507; how many were stored."""
    for number in range(200):
        status = swift.put(f"c/o{number}", body(number))
        if status != 201:
            assert status == 507
            return number
    raise AssertionError("the disks never got full")


def check(swift: Swift, count: int) -> None:
    for number in range(count):
        assert swift.get(f"c/o{number}") == body(number)
    assert len(swift.names("c")) == count


def test_full_disks_answer_507_and_go_on_reading(cloud: RunningCloud, disks: list[Path]) -> None:
    """Within the reserve, and then without a single free block; killed and started in both states."""
    with Swift(cloud) as swift:
        assert swift.put("c") == 201
        count = store_until_full(swift)
        assert count >= 12
        check(swift, count)
        small = [swift.put("c/small", b"y" * 8000) for _ in range(500)]
        assert set(small) == {201, 507}
        assert small == sorted(small), "once full, full"
        assert swift.delete("c/small") == 204
        assert swift.delete("c/o0") == 204
        assert swift.call("GET", "c/o0").status_code == 404
        assert swift.put("c/o0", b"tiny") == 201
        assert swift.delete("c/o0") == 204

    fillers = [fill(disk) for disk in disks]
    assert all(free_bytes(disk) == 0 for disk in disks)
    with Swift(cloud) as swift:
        assert swift.put("c/o0", body(0)) in {503, 507}
        for number in range(1, count):
            assert swift.get(f"c/o{number}") == body(number)
    cloud.kill_everything()
    cloud.up()
    with Swift(cloud) as swift:
        for number in range(1, count):
            assert swift.get(f"c/o{number}") == body(number)
        assert len(swift.names("c")) == count - 1
        assert swift.put("c/o0", body(0)) in {503, 507}
    report = cloud.command("doctor", check=False)
    assert report.count("device d") == 4

    for filler in fillers:
        filler.unlink()
    for disk in disks:  # room again, as if something else had been removed
        Path(disk).stat()
    with Swift(cloud) as swift:
        assert swift.put("c/tiny", b"room again") == 201
        assert swift.get("c/tiny") == b"room again"
    cloud.kill_everything()
    cloud.up()
    with Swift(cloud) as swift:
        assert swift.get("c/tiny") == b"room again"
        for number in range(1, count):
            assert swift.get(f"c/o{number}") == body(number)


def test_one_full_disk_is_not_noticed_by_clients(cloud: RunningCloud, disks: list[Path]) -> None:
    """Blobs go to a hand-off, registers to the other two."""
    filler = fill(disks[0])
    with Swift(cloud) as swift:
        assert swift.put("c") == 201
        for number in range(6):
            assert swift.put(f"c/o{number}", body(number)) == 201
        check(swift, 6)
        filler.unlink()
        assert swift.put("c/o6", body(6)) == 201
        check(swift, 7)
