"""The sweeping loop: tombstones often, orphans once a day, both at a bounded rate."""

from __future__ import annotations

import asyncio
import logging

from core.errors import RingstackError
from proxy.repair.pace import Pace
from proxy.store.cluster import Cluster
from proxy.sweep.orphans import Orphans
from proxy.sweep.tombstones import Tombstones

log = logging.getLogger("ringstack.sweep")

TOMBSTONES_EVERY_S = 600.0
LOOK_EVERY_S = 600.0  # whether a sweep is due, or one that was put off can go on
SWEEP_EVERY_US = 24 * 3600 * 1_000_000  # an upload that takes longer may be refused at its end
RATE_BYTES_S = 8 * 1024 * 1024


async def run_for_ever(cluster: Cluster, node: str) -> None:
    """For the life of the process, while this node has the first device of the ring.

    One runner is enough; two at a time only put each other off.
    """
    await asyncio.gather(_tombstones(cluster, node), _orphans(cluster, node))


def _ours(cluster: Cluster, node: str) -> bool:
    return cluster.epoch.devices[0].node == node


async def _tombstones(cluster: Cluster, node: str) -> None:
    sweep = Tombstones(cluster, Pace(RATE_BYTES_S))
    while True:
        await asyncio.sleep(TOMBSTONES_EVERY_S * (0.75 + 0.5 * cluster.env.random()))
        if not _ours(cluster, node):
            continue
        done = await sweep.one_pass()
        if done.names:
            log.info("%d tombstones were reclaimed", done.names)


async def _orphans(cluster: Cluster, node: str) -> None:
    sweep = Orphans(cluster, Pace(RATE_BYTES_S))
    while True:
        await asyncio.sleep(LOOK_EVERY_S * (0.75 + 0.5 * cluster.env.random()))
        if not _ours(cluster, node):
            continue
        try:
            due = await sweep.due(SWEEP_EVERY_US)
        except RingstackError as error:
            log.debug("no sweep yet: %s", error.message)
            continue
        if due:
            done = await sweep.one_pass()
            log.info(
                "sweep %d: %d old blobs looked at, %d dropped%s",
                *(done.generation, done.looked_at, done.dropped),
                f"; put off: {done.problem}" if done.problem else "",
            )
