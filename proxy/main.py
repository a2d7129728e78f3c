"""The proxy process: S3 and Swift on one port, over the object cluster.

`python -m proxy.main --data DIR --number N`. Several proxies share one listening socket, which the supervisor
holds; they keep no state that the cluster does not have, so any of them may die at any time.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from core import process
from core.http import HttpServer
from core.identity_link import IdentityLink
from core.identity_place import identity_place
from core.installation import Config, Installation, Secrets
from core.keyring import loaded
from core.log import AccessLog
from core.metrics import Metrics
from core.real import RealEnv
from proxy import expirer
from proxy.connect import connect
from proxy.front import Front
from proxy.gate import LinkGate
from proxy.s3.front import S3Front
from proxy.store.verbs import ClusterStore
from proxy.swift.front import SwiftFront

CONNECT_S = 3.0  # for devices that may be down; requests then go round them
FLUSH_S = 2.0  # how long a stop may wait until retired blobs are dropped
IDENTITY_S = 10.0  # it starts beside us; without it no token is taken
KEYS_S = 50.0  # `up` makes them, or another process is just at it


async def serve(data: Path, number: int) -> None:
    """Run until told to stop."""
    installation = Installation(data)
    config, secrets = installation.config(), installation.secrets()
    env = RealEnv()
    cluster = connect(installation, env)
    store = ClusterStore(cluster)
    metrics = Metrics()
    access = AccessLog()
    identity = await identity_link(installation, env, secrets)
    identity.start()
    front = make_front(env, store, config, LinkGate(identity), metrics, access)
    server = HttpServer(front.handle)
    await asyncio.gather(cluster.wait_up(CONNECT_S), identity.wait_synced(IDENTITY_S))
    port = await server.listen(
        config.listen, config.object_port, listener=process.inherited_listener()
    )
    metrics_port = await process.serve_metrics(metrics)
    tasks = []
    if number == 0:
        tasks.append(asyncio.create_task(expirer.run_for_ever(cluster, store)))
    process.report_ready({"http": port, "metrics": metrics_port})
    await process.until_told(asyncio.Event())
    for task in tasks:
        task.cancel()
    await server.stop()
    await store.reaper.flush(FLUSH_S)
    access.flush()
    identity.close()
    cluster.close()


async def identity_link(installation: Installation, env: RealEnv, secrets: Secrets) -> IdentityLink:
    """The line to the cluster's identity service, whose process may only just be starting."""
    keyring = await loaded(installation.keys, KEYS_S)
    _, address, trust = identity_place(installation, installation.config())
    return IdentityLink(env, address, secrets.cluster_key, keyring, trust=trust)


def make_front(
    env: RealEnv,
    store: ClusterStore,
    config: Config,
    gate: LinkGate,
    metrics: Metrics,
    access: AccessLog,
) -> Front:
    """Both dialects over one store."""
    return Front(
        env,
        S3Front(store, env, gate, region=config.region, domains=config.domains),
        SwiftFront(store, env, gate),
        metrics=metrics,
        access=access,
    )


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="proxy")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--number", type=int, default=0)
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.data, arguments.number))


if __name__ == "__main__":
    main()
