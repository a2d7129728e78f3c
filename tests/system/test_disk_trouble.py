"""Real disks that rot and fail: no wrong byte, everything answered, everything healed."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.running_cloud import RunningCloud
from tests.small_disk import command
from tests.system.swift import Swift

pytestmark = pytest.mark.slow

SIZES = (10, 4000, 9000, 70_000, 300_000, 1_500_000)


def body(number: int) -> bytes:
    return random.Random(number).randbytes(SIZES[number % len(SIZES)])


def fill(swift: Swift, first: int, last: int) -> None:
    for number in range(first, last):
        assert swift.put(f"c/o{number}", body(number)) == 201


def check(swift: Swift, first: int, last: int) -> None:
    for number in range(first, last):
        assert swift.get(f"c/o{number}") == body(number), number


def rot(device: Path, chance: random.Random, flips: int) -> None:
    """Flip bits all over the log of a device, under its running process."""
    for segment in sorted((device / "log").iterdir()):
        size = segment.stat().st_size
        with segment.open("r+b") as file:
            for _ in range(flips):
                at = chance.randrange(size)
                file.seek(at)
                byte = file.read(1)[0]
                file.seek(at)
                file.write(bytes([byte ^ 1 << chance.randrange(8)]))


def test_bits_that_flip_are_found_and_healed(tmp_path: Path) -> None:
    """One device's log is riddled: reads stay right, one scrub finds it all, repair replaces it."""
    cloud = RunningCloud(tmp_path / "data")
    cloud.up()
    try:
        swift = Swift(cloud)
        swift.put("c", b"")
        fill(swift, 0, 60)
        devices = sorted((tmp_path / "data" / "devices").iterdir())
        rot(devices[1], random.Random(5), 40)
        check(swift, 0, 60)
        told = json.loads(cloud.command("scrub", "--rate", "500", "--json"))
        assert told["damaged"] == 0
        assert {row["rounds"] for row in told["devices"]} == {1}
        again = json.loads(cloud.command("scrub", "--rate", "500", "--json"))
        assert again["damaged"] == 0
        check(swift, 0, 60)
        for name in ("objectd-0", "objectd-2"):  # now the device that rotted is needed
            with contextlib.suppress(ProcessLookupError):
                subprocess.run(["kill", "-STOP", str(cloud.pid(name))], check=True)
            check(swift, 0, 60)
            subprocess.run(["kill", "-CONT", str(cloud.pid(name))], check=True)
    finally:
        cloud.down()


@contextlib.contextmanager
def ext4(image: Path, path: Path):
    """An ext4 file system in a file that goes read-only at its first error."""
    with image.open("wb") as file:
        file.truncate(600 << 20)
    command("mkfs.ext4", "-q", "-F", "-m", "0", image)
    path.mkdir(parents=True)
    command("mount", "-o", "loop,errors=remount-ro", image, path)
    try:
        yield
    finally:
        command("umount", "-l", path)


def writable(cloud: RunningCloud, device: str) -> bool:
    """By the metrics of the process that serves it."""
    row = next(row for row in cloud.processes() if row["name"] == f"objectd-{device}")
    address = f"http://127.0.0.1:{row['ports']['metrics']}/metrics"
    with urllib.request.urlopen(address, timeout=5) as answer:
        text = answer.read().decode()
    return any(
        line.rstrip().endswith((" 1", " 1.0"))
        for line in text.splitlines()
        if "writable" in line and not line.startswith("#")
    )


def until(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.3)


def test_a_disk_that_goes_read_only_is_done_without_and_taken_back(tmp_path: Path) -> None:
    """The others serve; reads of it go on; a repaired file system at its place is opened by itself."""
    images = [tmp_path / "one.img", tmp_path / "two.img"]
    disk = tmp_path / "disk"
    with contextlib.ExitStack() as stack:
        stack.enter_context(ext4(images[0], disk))
        cloud = RunningCloud(tmp_path / "data")
        others = [str(tmp_path / f"plain{number}") for number in range(3)]
        for other in others:
            Path(other).mkdir()
        cloud.up("--devices", ",".join([str(disk), *others]))
        try:
            swift = Swift(cloud)
            swift.put("c", b"")
            fill(swift, 0, 20)
            loop = command("findmnt", "-no", "SOURCE", disk).strip()
            Path(f"/sys/fs/ext4/{Path(loop).name}/trigger_fs_error").write_text("1")
            fill(swift, 20, 40)
            check(swift, 0, 40)
            assert not writable(cloud, "0")
            images[1].write_bytes(images[0].read_bytes())
            subprocess.run(["e2fsck", "-fy", images[1]], check=False, capture_output=True)
            command("umount", "-l", disk)
            assert not writable(cloud, "0")
            command("mount", "-o", "loop", images[1], disk)
            until(lambda: writable(cloud, "0"), 90)
            fill(swift, 40, 60)
            check(swift, 0, 60)
            assert json.loads(cloud.command("scrub", "--rate", "500", "--json"))["damaged"] == 0
        finally:
            cloud.down()
