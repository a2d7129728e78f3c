"""The node daemon: one for each machine, for all that no client waits for.

`python -m noded.main --data DIR`. It repairs the devices of its own node, fetches newer rings and
lists of nodes from the others, lets machines join, and one of them sweeps the whole cluster. Nothing that a client is told depends on it: it may be down
at any time, and the work waits.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from core import process
from core.installation import Installation
from core.metrics import Metrics
from core.real import RealEnv
from core.trust import Trust
from noded.server import NodeServer
from noded.spread import Spread
from proxy.connect import connect
from proxy.repair import agent
from proxy.store.verbs import ClusterStore
from proxy.sweep import agent as sweep


async def serve(data: Path) -> None:
    """Run until told to stop."""
    installation = Installation(data)
    config = installation.config()
    env = RealEnv()
    cluster = connect(installation, env, background=True)
    store = ClusterStore(cluster)
    metrics_port = await process.serve_metrics(Metrics())
    repair = agent.Agent(cluster, store, config.node)
    tasks = [
        asyncio.create_task(repair.run()),
        asyncio.create_task(sweep.run_for_ever(cluster, config.node)),
    ]
    if config.cluster_listen is not None:
        trust = Trust(installation.identity)
        server = NodeServer(env, installation, trust, repair.hurry)
        await server.listen()
        tasks.append(
            asyncio.create_task(Spread(env, installation, trust, cluster.install).run_for_ever())
        )
        tasks.append(asyncio.create_task(process.follow_roster(trust, server.frames)))
    process.report_ready({"metrics": metrics_port})
    await process.until_told(asyncio.Event())
    for task in tasks:
        task.cancel()
    cluster.close()


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="noded")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.data))


if __name__ == "__main__":
    main()
