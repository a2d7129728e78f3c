"""The network agent: makes this machine's kernel what the Networking API wants, and answers guests' metadata questions.

`python -m networkd.agent.main --data DIR`. It may die at any time: everything it has made stands and goes on working, and the
next one finds it as it should be.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
from pathlib import Path

from core import process
from core.installation import Installation, identity_url
from core.keyring import follow, loaded
from core.metrics import Metrics
from core.namespace import host_namespace
from core.real import RealEnv
from core.service_identity import ServiceIdentity
from networkd.agent import needs, settings
from networkd.agent.control import Control

log = logging.getLogger("ringstack.network")

KEYS_TIMEOUT_S = 30.0
LOOK_AGAIN_S = 10.0


async def serve(data: Path) -> None:
    """Run until told to stop; without what it needs, say so and look again now and then."""
    installation = Installation(data)
    config = installation.config()
    env = RealEnv()
    stop = asyncio.Event()
    shown: dict[str, float] = {}
    metrics_port = await process.serve_metrics(Metrics(lambda: shown))
    missing = needs.missing()
    process.report_ready({"metrics": metrics_port})
    waiting = asyncio.create_task(process.until_told(stop))
    said = ""
    while missing and not stop.is_set():
        if said != (said := "; ".join(missing)):
            log.error("there are no networks on this machine: %s", said)
        await asyncio.wait([waiting], timeout=LOOK_AGAIN_S)
        missing = needs.missing()
    if stop.is_set():
        return
    from networkd.agent.host import Host  # the netlink library takes a tenth of a second and 12 MB
    from networkd.agent.loop import Loop
    from networkd.agent.metadata import Metadata

    keyring = await loaded(installation.keys, KEYS_TIMEOUT_S)
    identity = ServiceIdentity(env, keyring)
    api = identity_url(config).removesuffix("/identity")
    space = host_namespace(installation)
    ground = settings.ground(settings.load(installation.data), config, space)
    metadata = Metadata(env, api, identity)
    host = Host(env, space, metadata)
    loop = Loop(env, Control(api, identity, config.node), host, ground, shown)
    metadata.owner = loop.owner
    works = (loop.follow(), loop.work(), loop.live(), follow(keyring))
    tasks = [asyncio.create_task(work) for work in works]
    await waiting
    for task in tasks:
        task.cancel()
    await metadata.stop()


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="networkd.agent")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.data))


if __name__ == "__main__":
    main()
