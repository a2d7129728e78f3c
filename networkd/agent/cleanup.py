"""Everything of a cloud's networks on this machine, removed: dnsmasq processes and their files, namespaces with all that is in them.

`python -m networkd.agent.cleanup --data DIR`, and a function for whoever stops the cloud for good. The agent must have
ended. Guests that still run in the host's namespace keep it, nameless, until they end.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
from pathlib import Path

from core import command, namespace
from core.env import Env
from core.errors import RingstackError
from core.installation import Installation
from core.real import RealEnv
from networkd.agent.dnsmasq import Dnsmasqs
from networkd.plan.names import mark


async def remove_all(env: Env, host: str) -> list[str]:
    """Remove all of a host's; what could not be removed, in words."""
    await Dnsmasqs(env, host).stop_all()
    failed = []
    for name in reversed(namespace.named(host)):
        try:
            await namespace.remove(name)
        except RingstackError as error:
            failed.append(error.message)
    for device in machine_links(host):
        done = await command.run("ip", "link", "delete", device)
        if done.status and device in machine_links(host):
            failed.append(f"{device}: {done.errors}")
    return failed


def machine_links(host: str) -> list[str]:
    """The machine's own ends of the ways to physical networks; a namespace that a process still holds keeps them."""
    return [name for _, name in socket.if_nameindex() if name.startswith(f"rs{mark(host)}")]


def main() -> None:
    """Parse arguments and clean up."""
    parser = argparse.ArgumentParser(prog="networkd.agent.cleanup")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    failed = asyncio.run(
        remove_all(RealEnv(), namespace.host_namespace(Installation(arguments.data)))
    )
    if failed:
        raise SystemExit("\n".join(failed))


if __name__ == "__main__":
    main()
