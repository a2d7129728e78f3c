"""The NBD project's own tools and QEMU's, from Debian's packages; tests that use them install what is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests import installing

PACKAGES = {
    "nbdinfo": "libnbd-bin",
    "nbdfuse": "libnbd-bin",
    "nbdkit": "nbdkit",
    "losetup": "mount",
    "qemu-img": "qemu-utils",
    "fio": "fio",
    "psktool": "gnutls-bin",
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "fusermount3": "fuse3",
}
LIBNBD = Path("/usr/lib/python3/dist-packages/nbd.py")


def install(*programs: str) -> None:
    """Make programs available; `nbdsh` stands for the library's Python module."""

    def missing() -> set[str]:
        others = (one for one in programs if one != "nbdsh")
        packages = {PACKAGES[one] for one in others if shutil.which(one) is None}
        if "nbdsh" in programs and not LIBNBD.exists():
            packages.add("python3-libnbd")
        return packages

    installing.debian(missing)


def run(*command: str | Path, timeout_s: float = 120) -> str:
    """Output of a command that must succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def nbdsh(uri: str, script: str) -> str:
    """Run a script with the NBD library's handle `h` connected to an export."""
    return run("/usr/bin/python3", "-m", "nbd", "-u", uri, "-c", script)
