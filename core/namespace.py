"""Network namespaces of a cloud: one for its host, one for each network and router, all named after the cloud.

Several clouds live side by side on one machine, each with tenants' networks that may overlap, so nothing of a cloud's data plane is in
the machine's own namespace. Names begin with `rs-` and eight digits that follow from the data directory; removing every
namespace with that prefix removes all of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from core.errors import Unavailable
from core.installation import Installation

NAMED = Path("/run/netns")  # where `ip netns` keeps them
DIGITS = 8
TRIES = 20
RETRY_S = 0.05


def host_namespace(installation: Installation) -> str:
    """Name of the namespace that stands for this cloud's host; those of its networks and routers begin with it."""
    digest = hashlib.sha256(str(installation.data).encode()).hexdigest()
    return f"rs-{digest[:DIGITS]}"


def named(prefix: str) -> list[str]:
    """Namespaces of a cloud that exist: the one of this name, and those that begin with it and a hyphen."""
    if not NAMED.is_dir():
        return []
    found = (one.name for one in NAMED.iterdir())
    return sorted(name for name in found if name == prefix or name.startswith(f"{prefix}-"))


async def ensure(name: str) -> None:
    """Make a namespace, with its loopback up, unless it is there. Raises Unavailable."""
    if not (NAMED / name).exists():
        try:
            await _run("ip", "netns", "add", name)
        except Unavailable:
            if not (NAMED / name).exists():  # somebody else is just making it
                raise
    for attempt in range(TRIES):
        try:
            await _run("nsenter", f"--net={NAMED / name}", "ip", "link", "set", "lo", "up")
        except Unavailable:
            if attempt == TRIES - 1:
                raise
            await asyncio.sleep(RETRY_S)
        else:
            return


async def remove(name: str) -> None:
    """Remove a namespace, and with it all that is in it. Raises Unavailable."""
    if (NAMED / name).exists():
        await _run("ip", "netns", "del", name)


async def _run(*words: str) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError:
        raise Unavailable("NoTools", "networks need iproute2: apt-get install iproute2") from None
    _, said = await process.communicate()
    if process.returncode:
        text = said.decode(errors="replace").strip()
        raise Unavailable("Namespace", f"{' '.join(words)}: {text}")
