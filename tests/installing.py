"""What tests install when it is missing: one at a time, however many workers want it, and whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import tempfile
import venv
from collections.abc import Callable, Iterator
from pathlib import Path

LOCK = Path(tempfile.gettempdir()) / "ringstack-tests-installing.lock"
TIMEOUT_S = 900
STAMP = "installed"


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Nobody else on this machine installs meanwhile."""
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(*command: str | Path) -> None:
    """A command that must succeed."""
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"


def debian(missing: Callable[[], set[str]]) -> None:
    """Install the packages of Debian that `missing` names, if any."""
    if not missing():
        return
    with alone():
        packages = missing()  # another worker may have been here
        if packages:
            run("apt-get", "update", "-qq")
            run("apt-get", "install", "-y", "-qq", *sorted(packages))


def environment(directory: Path, *packages: str) -> Path:
    """The directory of the commands of a virtual environment that has packages of PyPI."""
    stamp = directory / STAMP
    wanted = "\n".join(packages)
    if not stamp.exists() or stamp.read_text() != wanted:
        with alone():
            if not stamp.exists() or stamp.read_text() != wanted:
                venv.create(directory, with_pip=True, clear=True)
                run(directory / "bin" / "pip", "install", "--quiet", *packages)
                stamp.write_text(wanted)
    return directory / "bin"
