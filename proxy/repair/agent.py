"""The repair loop: every device is compared with its peers, again and again, at a bounded rate."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from core.errors import RingstackError
from proxy.repair.blobs import BlobRepair
from proxy.repair.pace import Pace
from proxy.repair.registers import RegisterRepair
from proxy.store.cluster import Cluster
from proxy.store.verbs import ClusterStore

log = logging.getLogger("ringstack.repair")

EVERY_S = 20.0


class Done(NamedTuple):
    """What one pass put right. `complete`: every device answered."""

    registers: int
    blobs: int
    handoffs: int
    complete: bool


async def one_pass(
    cluster: Cluster, store: ClusterStore, pace: Pace, local: AbstractSet[int] | None = None
) -> Done:
    """Compare each of the `local` devices (all without it) with every other one, once."""
    mine = [one for one in cluster.targets if local is None or one.device in local]
    registers = RegisterRepair(cluster, store.registers, pace)
    pieces = BlobRepair(cluster, store.blobs, pace)
    complete = True
    for device in mine:
        for peer in cluster.targets:
            if peer.device == device.device:
                continue
            try:
                await registers.from_peer(device, peer)
            except RingstackError as error:
                log.debug("repair of device %d: %s", device.device, error.message)
                complete = False
    for source in mine:
        try:
            await pieces.walk(source)
        except RingstackError as error:
            log.debug("repair from device %d: %s", source.device, error.message)
            complete = False
    return Done(registers.copied, pieces.restored, pieces.taken_home, complete)


async def run_for_ever(cluster: Cluster, store: ClusterStore, node: str) -> None:
    """Repair the devices of one node now and then, for the life of the process.

    Any number may run: the work is idempotent.
    """
    pace = Pace()
    while True:
        await asyncio.sleep(EVERY_S * (0.75 + 0.5 * cluster.env.random()))
        local = {device.id for device in cluster.epoch.devices if device.node == node}
        done = await one_pass(cluster, store, pace, local)
        if done.registers or done.blobs or done.handoffs:
            log.info(
                "repaired %d registers and %d blobs, took %d hand-offs home",
                done.registers,
                done.blobs,
                done.handoffs,
            )
