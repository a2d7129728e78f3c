"""A whole cloud of real processes for a test: started with the product's own command, in a temporary directory."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Self

BIN = Path(sys.executable).parent
KILL_EVERY_S = 1.0


class RunningCloud:
    """`ringstack up --detach` on a free port; every command gets its `--data`."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.env: dict[str, str] = {}

    def command(self, *arguments: str, check: bool = True) -> str:
        """Run `ringstack ... --data DIR` and return its output."""
        done = subprocess.run(
            [BIN / "ringstack", *arguments, "--data", str(self.data)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def up(self, *arguments: str, guests: bool = False) -> str:
        """Start (or start again); without guests and their networks unless they are asked for."""
        wanted = ["--detach", "--object-port", "0", "--api-port", "0", *arguments]
        if not guests:
            wanted += ["--without", "compute"]
        output = self.command("up", *wanted)
        self.env = json.loads(self.command("env", "--format", "json"))
        return output

    def down(self) -> None:
        """Stop cleanly."""
        self.command("down")

    def end(self) -> None:
        """Stop for good: the disk space of its devices is given back, its logs stay."""
        self.down()
        shutil.rmtree(self.data / "devices", ignore_errors=True)

    def processes(self) -> list[dict[str, Any]]:
        """Rows of `status --json`."""
        rows: list[dict[str, Any]] = json.loads(self.command("status", "--json"))["processes"]
        return rows

    def pid(self, name: str) -> int:
        """Process id of a daemon."""
        return next(int(row["pid"]) for row in self.processes() if row["name"] == name)

    def kill_everything(self) -> None:
        """kill -9 of the supervisor and every daemon, as close together as can be."""
        pids = [int(row["pid"]) for row in self.processes()]
        for pid in pids:
            kill(pid)
        for pid in pids:
            wait_gone(pid)

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run a client with this cloud's credentials in its environment."""
        environment = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.data.parent),
            "AWS_MAX_ATTEMPTS": "10",
            "AWS_RETRY_MODE": "standard",
            **self.env,
        }
        done = subprocess.run(
            [str(argument) for argument in arguments],
            env=environment,
            cwd=cwd or self.data.parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert not check or done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
        return done


class Killer(threading.Thread):
    """Kills a random daemon now and then until told to stop; the supervisor is left alone."""

    def __init__(self, cloud: RunningCloud, seed: int) -> None:
        super().__init__(daemon=True)
        self._cloud = cloud
        self._random = random.Random(seed)
        self._told = threading.Event()
        self.killed: list[str] = []

    def run(self) -> None:
        while not self._told.wait(KILL_EVERY_S):
            rows = [row for row in self._cloud.processes() if row["name"] != "supervisor"]
            victim = self._random.choice(rows)
            kill(int(victim["pid"]))
            self.killed.append(str(victim["name"]))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._told.set()
        self.join()


def kill(pid: int) -> None:
    """kill -9 of a process that may have gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_gone(pid: int) -> None:
    """Until the process has ended (a zombie has)."""
    waiting = threading.Event()
    for _ in range(2000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        waiting.wait(0.005)
    raise AssertionError(f"process {pid} does not end")


def make_tree(root: Path, *, files_min: int, bytes_min: int) -> None:
    """A directory tree of real files from this machine, at least so many and so large."""
    rng = random.Random(7)
    count = total = 0
    for path in sorted(Path("/usr/share").rglob("*")) + sorted(Path("/usr/lib").rglob("*")):
        if count >= files_min and total >= bytes_min:
            break
        relative = path.relative_to("/usr")
        if path.is_symlink() or not path.is_file() or not str(relative).isprintable():
            continue
        size = path.stat().st_size
        if size > 40_000_000 or (count >= files_min and size < 200_000):
            continue
        if count < files_min and size > 200_000:
            continue
        target = root / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        count, total = count + 1, total + size
    while count < files_min or total < bytes_min:  # a bare machine has less: fill up
        size = rng.choice((100, 3000, 40_000)) if count < files_min else 12_000_000
        target = root / "filled" / f"{count % 50}" / f"file {count}.bin"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(rng.randbytes(size))
        count, total = count + 1, total + size


def differences(left: Path, right: Path) -> list[str]:
    """Paths that differ between two trees, in names or bytes."""
    names = {str(path.relative_to(left)) for path in left.rglob("*") if path.is_file()}
    others = {str(path.relative_to(right)) for path in right.rglob("*") if path.is_file()}
    different = sorted(names ^ others)
    different += [
        name
        for name in sorted(names & others)
        if (left / name).read_bytes() != (right / name).read_bytes()
    ]
    return different
