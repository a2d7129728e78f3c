"""The tables of Networking; their names begin with `network_`."""

from __future__ import annotations

from networkd.tables import host, network, notice, port, quota, router, security_group, topology
from networkd.tables.metadata import metadata

__all__ = [
    "host",
    "metadata",
    "network",
    "notice",
    "port",
    "quota",
    "router",
    "security_group",
    "topology",
]
