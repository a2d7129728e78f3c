"""Deletes objects whose time has come (X-Delete-At).

Reads already treat them as gone; this makes listings and statistics agree and gives their space back. It
works on registers, so it needs no names: devices tell what has expired, and each is replaced by a
tombstone on the condition that it is still the expired version.
"""

from __future__ import annotations

import asyncio
import logging

from core.errors import PreconditionFailed, RingstackError, Stale, Unavailable
from objectd import wire
from proxy.store import envelope, names
from proxy.store.cluster import Cluster, Target
from proxy.store.registers import NewRecord, Register, Stored
from proxy.store.verbs import ClusterStore

log = logging.getLogger("ringstack.expirer")

CHECK_S = 5.0
BATCH_MAX = 500
ASK_TIMEOUT_S = 5.0


async def run_for_ever(cluster: Cluster, store: ClusterStore) -> None:
    """Look for expired objects now and then. Every proxy may do so: the work is idempotent."""
    while True:
        await asyncio.sleep(CHECK_S * (0.75 + 0.5 * cluster.env.random()))
        for target in cluster.targets:
            try:
                while await expire_device(cluster, store, target) == BATCH_MAX:
                    pass
            except RingstackError as error:
                log.warning("expiry will be tried again: %s", error.message)


async def expire_device(cluster: Cluster, store: ClusterStore, target: Target) -> int:
    """Delete what one device knows to be expired; returns how many were deleted."""
    now_s = cluster.env.wall_us() // 1_000_000
    head = wire.encode(wire.ExpiredCall(now_s + 1, BATCH_MAX))
    try:
        async with asyncio.timeout(ASK_TIMEOUT_S):
            frame = await target.link.ask(wire.EXPIRED, target.device, head)
    except TimeoutError:
        raise Unavailable("NoAnswer", "a device does not answer") from None
    if frame.status != wire.OK:
        return 0
    deleted = 0
    for row in wire.decode_expired(frame.body):
        try:
            deleted += await _expire(store, row, row.stage, now_s * 1_000_000)
        except (
            Stale
        ) as stale:  # the device has missed a fence: the row is at a later stage elsewhere
            deleted += await _expire(store, row, stale.stage, now_s * 1_000_000)
    return deleted


async def _expire(store: ClusterStore, row: wire.ExpiredRow, stage: int, now_us: int) -> bool:
    def bury(current: Stored) -> NewRecord | None:
        if not current.exists:
            return None
        if not names.decode_object(current.record).expired(now_us):
            raise PreconditionFailed("NotExpired", "a newer version does not expire yet")
        return NewRecord(envelope.NIL)

    register = Register(row.range_id, row.name, stage)
    try:
        outcome = await store.registers.mutate(register, bury)
    except PreconditionFailed:
        return False
    if outcome.new is not None and outcome.certain:
        store.reaper.retire(names.decode_object(outcome.before.record))
    return outcome.new is not None
