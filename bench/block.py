"""`ringstack bench block`: a volume beside other NBD servers, on the same disk, in the same run.

fio's NBD engine makes the requests. The floor is what a file on the disk gives through `qemu-nbd` and `nbdkit`, without
replicas; any other server that is reached by an NBD address (a Ceph image through `qemu-nbd`, say) can be
named as a peer. The servers take turns case by case, so that what disturbs the machine disturbs all of them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from bench.processes import cpu_seconds, memory_bytes
from bench.report import number_text, show_table
from core.errors import Refused, Unavailable

TOOLS = {"fio": "fio", "qemu-nbd": "qemu-utils", "nbdkit": "nbdkit"}
MIB = 1 << 20
START_S = 10.0
Announce = Callable[[str], None]


class Case(NamedTuple):
    """What is done, and fio's words for it."""

    title: str
    words: str


# streams and reads of a volume that was written in order, then random writes, then reads of what they have left
CASES = (
    Case("write 1 MiB, 4 at once", "--rw=write --bs=1m --iodepth=4"),
    Case("read 1 MiB, 4 at once", "--rw=read --bs=1m --iodepth=4"),
    Case("randread 4k, 1 at once", "--rw=randread --bs=4k --iodepth=1"),
    Case("randread 4k, 32 at once", "--rw=randread --bs=4k --iodepth=32"),
    Case("randwrite 4k, 1 at once", "--rw=randwrite --bs=4k --iodepth=1"),
    Case("randwrite 4k, 32 at once", "--rw=randwrite --bs=4k --iodepth=32"),
    Case("randwrite 4k + fsync, 1 at once", "--rw=randwrite --bs=4k --iodepth=1 --fsync=1"),
    Case("randwrite 4k + fsync, 32 at once", "--rw=randwrite --bs=4k --iodepth=32 --fsync=1"),
    Case("then randread 4k, 32 at once", "--rw=randread --bs=4k --iodepth=32"),
    Case("then read 1 MiB, 4 at once", "--rw=read --bs=1m --iodepth=4"),
)


class Server(NamedTuple):
    """An NBD export and the processes behind it (none: their CPU is not known)."""

    name: str
    uri: str
    pids: list[int]


class Line(NamedTuple):
    """One case on one server. Rates in requests a second, times in milliseconds."""

    server: str
    case: str
    rate: float
    megabytes_s: float
    p99_ms: float
    cpu_ms: float | None


class BlockReport(NamedTuple):
    """Everything that one run measured."""

    lines: list[Line]
    memory: dict[str, int]
    setting: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "setting": self.setting,
            "memory_bytes": self.memory,
            "figures": [line._asdict() for line in self.lines],
        }


def check_tools() -> None:
    """Raises Refused with what to install."""
    missing = sorted({TOOLS[tool] for tool in TOOLS if shutil.which(tool) is None})
    if missing:
        raise Refused("NoTools", f"this benchmark needs: apt-get install {' '.join(missing)}")


@contextmanager
def floors(root: Path, size: int) -> Iterator[list[Server]]:
    """Local files behind qemu-nbd and nbdkit."""
    with ExitStack() as stack:
        found = []
        for name, words in (
            ("qemu-nbd, local file", ["qemu-nbd", "-t", "-e", "8", "-f", "raw", "-x", "d", "-k"]),
            ("nbdkit, local file", ["nbdkit", "-f", "-e", "d", "-U"]),
        ):
            file, socket = root / f"{words[0]}.raw", root / f"{words[0]}.sock"
            with file.open("wb") as disk:
                disk.truncate(size)
            rest = [str(file)] if words[0] == "qemu-nbd" else ["file", str(file)]
            process = subprocess.Popen([*words, str(socket), *rest])
            stack.callback(_end, process)
            _wait_for(socket)
            found.append(Server(name, f"nbd+unix:///d?socket={socket}", [process.pid]))
        yield found


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait()


def _wait_for(socket: Path) -> None:
    deadline = time.monotonic() + START_S
    while not socket.exists():
        if time.monotonic() > deadline:
            raise Unavailable("NotStarted", f"nobody listens at {socket}")
        time.sleep(0.02)


def fio(uri: str, words: str, size: int, seconds: float, scratch: Path) -> dict[str, Any]:
    """Run fio and return its job. Raises Unavailable with what it said."""
    done = subprocess.run(
        [
            "fio", "--name=bench", "--ioengine=nbd", f"--uri={uri}", f"--size={size}",
            "--randrepeat=0", "--norandommap", "--output-format=json", f"--aux-path={scratch}",
            *([f"--runtime={seconds}", "--time_based"] if seconds else []), *words.split(),
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    at = done.stdout.find("{")
    if done.returncode or at < 0:
        raise Unavailable("FioFailed", done.stderr.strip() or done.stdout.strip())
    job: dict[str, Any] = json.loads(done.stdout[at:])["jobs"][0]
    return job


def measure(
    servers: Sequence[Server], *, size: int, seconds: float, scratch: Path, announce: Announce
) -> tuple[list[Line], dict[str, int]]:
    """Fill every server once, then each case on each; lines in the order of cases, and memory at the end."""
    for server in servers:
        announce(f"filling {server.name}")
        fio(server.uri, "--rw=write --bs=1m --iodepth=4 --end_fsync=1", size, 0, scratch)
    lines = []
    for case in CASES:
        for server in servers:
            announce(f"{case.title}: {server.name}")
            before = cpu_seconds(server.pids)
            job = fio(server.uri, case.words, size, seconds, scratch)
            used_s = cpu_seconds(server.pids) - before
            side = job["read"] if job["read"]["total_ios"] else job["write"]
            p99_ns = side["clat_ns"].get("percentile", {}).get("99.000000", 0)
            if "fsync" in case.words:
                p99_ns += job["sync"]["lat_ns"].get("percentile", {}).get("99.000000", 0)
            lines.append(
                Line(
                    server.name,
                    case.title,
                    side["iops"],
                    side["bw_bytes"] / 1e6,
                    p99_ns / 1e6,
                    1000 * used_s / max(1, side["total_ios"]) if server.pids else None,
                )
            )
    return lines, {server.name: memory_bytes(server.pids) for server in servers if server.pids}


def show(report: BlockReport) -> None:
    """One table for each server, ours first, with its ratios to the others behind."""
    ours = report.lines[0].server
    by = {(line.server, line.case): line for line in report.lines}
    names = list(dict.fromkeys(line.server for line in report.lines))
    heads = ["case", "/s", "MB/s", "p99 ms", "CPU ms", *(f"to {name}" for name in names[1:])]
    rows = []
    for case in CASES:
        mine = by[ours, case.title]
        row = [case.title, *cells(mine)]
        for name in names[1:]:
            theirs = by[name, case.title]
            row.append(f"{mine.rate / theirs.rate:.2f} x" if theirs.rate else "-")
        rows.append(row)
    show_table(ours, heads, rows)
    for name in names[1:]:
        show_table(name, heads[:5], [[case.title, *cells(by[name, case.title])] for case in CASES])
    for name, size in report.memory.items():
        print(f"memory of {name}: {size / MIB:.0f} MiB")


def cells(line: Line) -> list[str]:
    """Figures of a line as text."""
    cpu = "-" if line.cpu_ms is None else f"{line.cpu_ms:.3f}"
    return [number_text(line.rate), number_text(line.megabytes_s), number_text(line.p99_ms), cpu]
