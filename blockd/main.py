"""The block daemon: serves volumes of the cloud to one machine, and over TLS to others, as NBD exports.

`python -m blockd.main --data DIR`. It may die at any time: what clients had written is there again when it is back,
and they go on at the same sockets.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from blockd.calls import Calls
from blockd.host import Host
from blockd.nbd.server import NbdServer, Tls, tls_of
from core import process
from core.installation import Installation, host_of
from core.metrics import Metrics
from core.real import RealEnv, make_directory, write_durably
from core.trust import Trust
from proxy.connect import connect
from proxy.store.verbs import ClusterStore
from volume.keys import FileKeys
from volume.library import volumes_on

CONNECT_S = 5.0
EXPORTS = "exports.json"
PORT = "port"


async def serve(data: Path) -> None:
    """Run until told to stop."""
    installation = Installation(data)
    config, secrets = installation.config(), installation.secrets()
    env = RealEnv()
    cluster = connect(installation, env)
    volumes = volumes_on(env, ClusterStore(cluster), FileKeys(installation.volume_keys, env))
    server = NbdServer(installation.run / "nbd")
    host = Host(
        volumes,
        server,
        installation.data / "block" / EXPORTS,
        owner=f"node {config.node}",
        key=secrets.cluster_key,
    )
    trust = Trust(installation.identity) if config.cluster_listen is not None else None
    host.address = host_of(config)
    host.port = await listen(
        server, config.listen, installation.data / "block" / PORT, tls_of(trust)
    )
    calls = Calls(env, secrets.cluster_key, host)
    await calls.frames.listen(installation.block_socket)
    await cluster.wait_up(CONNECT_S)
    metrics_port = await process.serve_metrics(
        Metrics(lambda: {"block_exports": len(server.names)})
    )
    process.report_ready({"nbd": host.port, "metrics": metrics_port})
    restoring = asyncio.create_task(host.restore())
    await process.until_told(asyncio.Event())
    restoring.cancel()
    calls.frames.close()
    await host.stop()
    cluster.close()


def last_port(path: Path) -> int:
    """The port that was written down, or 0."""
    return int(path.read_text()) if path.exists() else 0


async def listen(server: NbdServer, address: str, path: Path, tls: Tls) -> int:
    """Listen where the last process of this cloud did, so that its clients find us; otherwise at any free port."""
    last = last_port(path)
    try:
        port = await server.listen(address, last, tls)
    except OSError:
        port = await server.listen(address, 0, tls)
    if port != last:
        make_directory(path.parent)
        write_durably(path, str(port).encode())
    return port


def main() -> None:
    """Parse arguments and serve."""
    parser = argparse.ArgumentParser(prog="blockd")
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.data))


if __name__ == "__main__":
    main()
