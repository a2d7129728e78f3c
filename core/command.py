"""A trusted tool of the system, run and waited for: its status and what it printed. No shell is involved.

For what a stranger made there is `core.jail`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import NamedTuple

from core.errors import NotFound, Unavailable

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT_S = 30.0


class Done(NamedTuple):
    """How a tool ended."""

    status: int
    output: bytes
    errors: str


async def run(*command: str, data: bytes = b"", timeout_s: float = TIMEOUT_S) -> Done:
    """Run a tool with `data` as its input.

    Raises NotFound("NoTool") when it is not installed, Unavailable when it does not end in time.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE if data else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": PATH, "LC_ALL": "C", "HOME": "/"},
            start_new_session=True,
        )
    except FileNotFoundError:
        raise NotFound("NoTool", f"{command[0]} is not installed") from None
    except OSError as error:
        raise Unavailable("NoProcess", f"{command[0]} cannot be started: {error}") from None
    try:
        async with asyncio.timeout(timeout_s):
            output, errors = await process.communicate(data or None)
    except TimeoutError:
        raise Unavailable("Slow", f"{command[0]} did not end within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            await process.wait()
    assert process.returncode is not None
    return Done(process.returncode, output, errors.decode("utf-8", "replace").strip())
