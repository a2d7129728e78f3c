"""Blobs that exist and are about to be named by another record are stamped anew, so that no sweep takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from core.errors import Unavailable
from objectd import wire
from proxy.store.cluster import Cluster, Target
from proxy.store.layout import layout_of
from proxy.store.record import Extent

TOUCH_TIMEOUT_S = 10.0
BLOBS_AT_ONCE = 5_000  # in one call


async def touch(cluster: Cluster, extents: Sequence[Extent]) -> int:
    """Stamp the blobs on as many devices as a write needs; returns the lowest stamp.

    Raises Unavailable when too few devices answer that they hold one.
    """
    stamp = wire.NOTHING_NEW
    extent_of = {extent.blob: extent for extent in extents}
    blobs = sorted(extent_of)
    for start in range(0, len(blobs), BLOBS_AT_ONCE):
        wanted = [extent_of[blob] for blob in blobs[start : start + BLOBS_AT_ONCE]]
        stamp = min(stamp, await _Touch(cluster, wanted).run())
    return stamp


class _Touch:
    """Some blobs: the primaries are asked first, then everybody else who may hold a piece."""

    def __init__(self, cluster: Cluster, extents: Sequence[Extent]) -> None:
        self._cluster = cluster
        self._extents = extents
        self._held = {extent.blob: 0 for extent in extents}
        self._stamp = wire.NOTHING_NEW

    async def run(self) -> int:
        policies = self._cluster.policies
        await self._ask(
            {
                extent.blob: self._cluster.blob_targets(extent.blob, policies[extent.policy])
                for extent in self._extents
            }
        )
        missing = self._missing()
        if missing:
            await self._ask(
                {
                    one.blob: tuple(self._cluster.blob_handoffs(one.blob, policies[one.policy]))
                    for one in missing
                }
            )
            missing = self._missing()
        if missing:
            raise Unavailable("NotTouched", f"too few copies of {len(missing)} blobs answer")
        self._cluster.heard(self._stamp)
        return self._stamp

    def _missing(self) -> list[Extent]:
        policies = self._cluster.policies
        return [
            one
            for one in self._extents
            if self._held[one.blob] < layout_of(policies[one.policy], one.blob_size).needed
        ]

    async def _ask(self, targets_of: dict[bytes, tuple[Target, ...]]) -> None:
        wanted: dict[int, tuple[Target, list[bytes]]] = {}
        for blob, targets in targets_of.items():
            for target in targets:
                wanted.setdefault(target.device, (target, []))[1].append(blob)
        await asyncio.gather(*(self._ask_one(target, ids) for target, ids in wanted.values()))

    async def _ask_one(self, target: Target, blobs: list[bytes]) -> None:
        head = wire.encode(wire.TouchCall(blobs))
        try:
            async with asyncio.timeout(TOUCH_TIMEOUT_S):
                frame = await target.link.ask(wire.TOUCH, target.device, head)
        except TimeoutError:
            return
        if frame.status != wire.OK:
            return
        for blob, stamp in zip(blobs, wire.decode_stamps(frame.body), strict=True):
            if stamp is not None:
                self._held[blob] += 1
                self._stamp = min(self._stamp, stamp)
