"""A file system of a few megabytes, for what happens when a disk is full."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


def command(*arguments: str | Path) -> str:
    """Run a system command; its output."""
    done = subprocess.run(
        [str(argument) for argument in arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


@contextlib.contextmanager
def small_disk(path: Path, size_mib: int) -> Iterator[Path]:
    """Mount a tmpfs of that size at `path`, or an ext4 image through a loop device. Needs root."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        command("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", path)
    except AssertionError:
        image = path.with_suffix(".img")
        with image.open("wb") as file:
            file.truncate(size_mib << 20)
        command("mkfs.ext4", "-q", "-F", "-m", "0", image)
        command("mount", "-o", "loop", image, path)
    try:
        yield path
    finally:
        command("umount", "-l", path)


def fill(directory: Path, *, leave_bytes: int = 0) -> Path:
    """Fill a file system up to a rest, as another program would; returns the file that did."""
    path = directory / "filler"
    with path.open("ab") as file, contextlib.suppress(OSError):
        while free_bytes(directory) > leave_bytes + (1 << 20):
            file.write(bytes(1 << 20))
            file.flush()
        while free_bytes(directory) > leave_bytes:
            file.write(bytes(4096))
            file.flush()
    return path


def free_bytes(directory: Path) -> int:
    """What is left for an ordinary writer."""
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize
