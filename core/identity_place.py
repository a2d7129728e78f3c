"""Where the identity service is, seen from one node.

There is one for the whole cluster. With a database that all nodes share (PostgreSQL) each node runs its own
process of it; without one it runs on the keeper alone, and the other nodes reach it through the keeper's node daemon.
"""

from __future__ import annotations

from typing import NamedTuple

from core.installation import Config, Installation
from core.trust import Trust


class IdentityPlace(NamedTuple):
    """`here`: this node runs the service. `address`: where its followers connect; `trust` for TLS."""

    here: bool
    address: str
    trust: Trust | None


def identity_place(installation: Installation, config: Config) -> IdentityPlace:
    """Where the identity service of this node is."""
    if config.cluster_listen is None or config.database:
        return IdentityPlace(True, installation.api_socket, None)
    trust = Trust(installation.identity)
    roster = trust.roster()
    keeper = roster.member(roster.keeper)
    if keeper is None or keeper.name == config.node:
        return IdentityPlace(True, installation.api_socket, None)
    return IdentityPlace(False, keeper.address, trust)
