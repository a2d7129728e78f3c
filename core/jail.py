"""A cage for a tool that reads what a stranger made: the one place that starts such a process.

Promises: no network, no other process in sight, nobody's user, bounded memory, processor time, file size and run
time, an environment of two variables, and files handed over as open descriptors alone, so that a path in the
input leads nowhere. Where the kernel gives this process no namespaces they are left out, but never the limits.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import shutil
import signal
from collections.abc import Sequence
from typing import NamedTuple

from core.errors import NotFound, Unavailable

OUTPUT_BYTES_MAX = 64 << 10
NOBODY = 65_534
KEPT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Bounds(NamedTuple):
    """What a caged tool may use: seconds on the clock and of the processor, bytes of memory, bytes of any file."""

    wall_s: float
    cpu_s: int
    memory_bytes: int
    file_bytes: int


class Outcome(NamedTuple):
    """How it ended: exit status (negative: a signal; None: out of time) and what it printed, cut."""

    status: int | None
    output: str


def found(tool: str) -> str:
    """Where a tool is. Raises NotFound("NoTool")."""
    path = shutil.which(tool, path=KEPT["PATH"])
    if path is None:
        raise NotFound("NoTool", f"{tool} is not installed")
    return path


NAMESPACES = ("--net", "--ipc", "--pid", "--fork", "--kill-child")


@functools.cache
def walls(*, root: bool) -> tuple[str, ...]:
    """The namespaces that this process may make for a tool: all of them, or none where the kernel says no."""
    command = (found("unshare"), *(() if root else ("--user",)), *NAMESPACES)
    tried = os.spawnv(os.P_WAIT, command[0], [*command, "true"])  # noqa: S606 - no shell is the point
    return command if tried == 0 else ()


def cage(bounds: Bounds, *, root: bool) -> list[str]:
    """The command that a tool's own is appended to."""
    limits = [
        found("prlimit"),
        f"--as={bounds.memory_bytes}",
        f"--cpu={bounds.cpu_s}",
        f"--fsize={bounds.file_bytes}",
        "--nofile=64",
        "--core=0",
        "--",
    ]
    if not root:
        return [*walls(root=root), *limits]
    who = [found("setpriv"), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    no_more = ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    return [*walls(root=root), *who, *no_more, *limits]


async def run(command: Sequence[str], files: Sequence[int], bounds: Bounds) -> Outcome:
    """Run a tool in the cage; `files` are descriptors that it inherits under their numbers.

    Raises NotFound("NoTool"), and Unavailable when no process can be started.
    """
    full = [*cage(bounds, root=os.geteuid() == 0), found(command[0]), *command[1:]]
    try:
        process = await asyncio.create_subprocess_exec(
            *full,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=tuple(files),
            env=KEPT,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise Unavailable("NoProcess", f"{command[0]} cannot be started: {error}") from None
    try:
        async with asyncio.timeout(bounds.wall_s):
            output = await _read(process)
            status: int | None = await process.wait()
    except TimeoutError:
        output, status = "", None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return Outcome(status, output)


async def _read(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    kept = b""
    while chunk := await process.stdout.read(OUTPUT_BYTES_MAX):
        kept = (kept + chunk)[:OUTPUT_BYTES_MAX]
    return kept.decode("utf-8", "replace").strip()
