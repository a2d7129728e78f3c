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


async def run_for_ever(cluster: Cluster) -> None:
    """For the life of the process. One runner is enough, more do no harm."""
    await asyncio.gather(_tombstones(cluster), _orphans(cluster))


async def _tombstones(cluster: Cluster) -> None:
    sweep = Tombstones(cluster, Pace(RATE_BYTES_S))
    while True:
        await asyncio.sleep(TOMBSTONES_EVERY_S * (0.75 + 0.5 * cluster.env.random()))
        done = await sweep.one_pass()
        if done.names:
            log.info("%d tombstones were reclaimed", done.names)


async def _orphans(cluster: Cluster) -> None:
    sweep = Orphans(cluster, Pace(RATE_BYTES_S))
    while True:
        await asyncio.sleep(LOOK_EVERY_S * (0.75 + 0.5 * cluster.env.random()))
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
