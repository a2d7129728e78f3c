"""The cluster as a daemon of one machine reaches it: over unix sockets at home, over the network elsewhere."""

from __future__ import annotations

from core.env import Env
from core.errors import Corrupt
from core.installation import Installation
from core.trust import Trust
from proxy.store.cluster import Cluster
from ring.device import Device
from ring.local import objectd_name
from ring.store import RingStore


def connect(installation: Installation, env: Env, *, background: bool = False) -> Cluster:
    """Links to every device of the newest ring of this machine, on their way up. Raises Corrupt.

    `background`: for work that gives way to clients.
    """
    config = installation.config()
    epoch = RingStore(installation.ring).current()
    if epoch is None:
        raise Corrupt("NoRing", f"there is no valid ring in {installation.ring}")

    def address_of(device: Device) -> str:
        if device.node == config.node:
            return installation.socket(objectd_name(device.address))
        return device.address

    cluster = Cluster(
        env,
        epoch,
        installation.secrets().cluster_key,
        address_of=address_of,
        trust=Trust(installation.identity) if config.cluster_listen else None,
        background=background,
    )
    cluster.start()
    return cluster
