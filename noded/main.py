"""The node daemon: one for each machine, for all that no client waits for.

`python -m noded.main --data DIR`. It repairs the devices of its own node, fetches newer rings and lists of
nodes from the others, lets machines join, and one of them sweeps the whole cluster. Nothing that a client
is told depends on it: it may be down at any time, and the work waits.
"""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path

from core import process
from core.installation import Installation
from core.metrics import Metrics
from core.real import RealEnv
from core.trust import Trust
from noded.conductor import RingFiles, conduct, follow_throttle
from noded.server import NodeServer
from noded.spread import Spread
from proxy.connect import connect
from proxy.rebalance.conductor import Conductor
from proxy.repair.agent import Agent
from proxy.store.verbs import ClusterStore
from proxy.sweep import agent as sweep
from ring.epoch import Epoch
from ring.store import RingStore

NICE = 5  # its work gives way to that of clients, where processors are few


async def serve(data: Path) -> None:
    """Run until told to stop."""
    installation = Installation(data)
    config = installation.config()
    env = RealEnv()
    cluster = connect(installation, env, background=True)
    store = ClusterStore(cluster)
    rings = RingStore(installation.ring)
    agent = Agent(cluster, store, config.node)
    forget_old_devices(installation, cluster.epoch)

    def new_epoch(epoch: Epoch) -> None:
        agent.hurry()
        forget_old_devices(installation, epoch)

    cluster.on_epoch = new_epoch
    metrics_port = await process.serve_metrics(
        Metrics(
            lambda: {
                "repair_bytes": agent.pace.spent_bytes,
                "repair_register_bytes": agent.pace.register_bytes,
            }
        )
    )
    tasks = [
        asyncio.create_task(agent.run()),
        asyncio.create_task(follow_throttle(rings, agent)),
        asyncio.create_task(sweep.run_for_ever(cluster, config.node)),
    ]
    trust = Trust(installation.identity) if config.cluster_listen is not None else None
    if trust is None or trust.roster().keeper == config.node:
        conductor = Conductor(cluster, store.registers, RingFiles(env, rings), agent.pace)
        tasks.append(asyncio.create_task(conduct(conductor)))
    if trust is not None:
        server = NodeServer(env, installation, trust, agent.hurry)
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


def forget_old_devices(installation: Installation, epoch: Epoch) -> None:
    """Devices that have left the ring for good may be used again as new ones."""
    ids = {device.id for device in epoch.devices}
    for path in installation.known.glob("device-*"):
        number = path.name.removeprefix("device-")
        if number.isdigit() and int(number) not in ids:
            path.unlink(missing_ok=True)


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="noded")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    os.nice(NICE)
    process.run(lambda: serve(arguments.data))


if __name__ == "__main__":
    main()
