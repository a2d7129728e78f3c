"""Hosts without machines: the agent of `computed.agent` over a hypervisor in memory, against a real cloud.

`python -m computed.fakehost --data DIR [--host NAME] [--count N] [--memory-mb M] [--vcpus V]`. For tests of whole clouds and of scale; a
guest of such a host runs as soon as it is told to, and its serial console says so.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from computed.agent.api import HttpApi
from computed.agent.console import Consoles, as_json
from computed.agent.loop import Agent, Orders
from computed.fake import FakeHypervisor
from computed.port import Capacity
from core import process
from core.authenticator import Authenticator
from core.errors import NotFound
from core.installation import Installation, host_of, identity_url
from core.keyring import Keyring
from core.real import RealEnv, make_directory
from core.revocation import RevocationList
from core.service_identity import ServiceIdentity


async def serve(options: argparse.Namespace) -> None:
    """Run until told to stop."""
    installation = Installation(options.data)
    config, env = installation.config(), RealEnv()
    keyring = Keyring(installation.keys)
    keyring.load()
    identity = ServiceIdentity(env, keyring)
    base = identity_url(config).removesuffix("/identity")
    directory = installation.data / "fakehosts"
    make_directory(directory)
    name = options.host or config.node
    names = [name] if options.count == 1 else [f"{name}-{at}" for at in range(options.count)]
    fakes: list[FakeHypervisor] = []

    def holder(server_id: str) -> FakeHypervisor:
        for fake in fakes:
            if server_id in fake.machines:
                return fake
        raise NotFound("NoMachine", "there is no such machine")

    async def log_of(server_id: str) -> tuple[str, bytes]:
        return "text/plain", await holder(server_id).console_log(server_id)

    async def facts_of(server_id: str) -> tuple[str, bytes]:
        return as_json(await holder(server_id).diagnostics(server_id))

    api = HttpApi(base, identity, name)
    consoles = Consoles(
        Authenticator(env, keyring, RevocationList()),
        api.server_of,
        lambda *_: str(directory / "none"),
        {"log": log_of, "diagnostics": facts_of},
    )
    port = await consoles.listen(config.listen, 0)
    agents = []
    for one in names:
        capacity = Capacity(
            options.vcpus, options.memory_mb, 1000, "QEMU", 7002000, one, host_of(config)
        )
        fakes.append(FakeHypervisor(env, capacity))
        orders = Orders(directory / f"{one}.json")
        reach = HttpApi(base, identity, one)
        agents.append(Agent(one, fakes[-1], reach, orders, console=f"{host_of(config)}:{port}"))
    tasks = [asyncio.create_task(agent.run_for_ever()) for agent in agents]
    process.report_ready({"console": port})
    await process.until_told(asyncio.Event())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await consoles.close()


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="computed.fakehost")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--host", default="")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--memory-mb", type=int, default=65536)
    parser.add_argument("--vcpus", type=int, default=32)
    options = parser.parse_args()
    process.run(lambda: serve(options))


if __name__ == "__main__":
    main()
