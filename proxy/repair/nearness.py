"""Which copy to read: the nearest in the ring's failure domains."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.store.cluster import Cluster, Target


class Nearness:
    """Orders devices by how far they are from one of them."""

    def __init__(self, cluster: Cluster) -> None:
        self._domains = {
            device.id: (device.region, device.zone, device.node) for device in cluster.epoch.devices
        }

    def order(self, home: Target, others: Iterable[Target]) -> list[Target]:
        """Connected ones first, then by distance, then by a turn that spreads load."""
        return sorted(others, key=lambda one: (not one.bulk.up, self._far(home, one), one.device))

    def _far(self, home: Target, other: Target) -> int:
        mine, theirs = self._domains.get(home.device), self._domains.get(other.device)
        if mine is None or theirs is None or mine[0] != theirs[0]:
            return 3
        if mine[1] != theirs[1]:
            return 2
        return int(mine[2] != theirs[2])
