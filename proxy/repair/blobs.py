"""Blobs that are missing from a device where they belong, and hand-offs that can go home.

A device's list of blobs says, with the ring, where each piece belongs. A primary without its piece gets it:
a replica from any copy, a fragment rebuilt from k others. A device that holds pieces of a blob it is no
primary of gives them up once every primary has its own.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from core.errors import Corrupt, Unavailable
from objectd import wire
from proxy.repair.pace import Pace
from proxy.repair.peers import ask
from proxy.store.blobs import Blobs
from proxy.store.cluster import Cluster, Target
from proxy.store.record import Extent

log = logging.getLogger("ringstack.repair")

BLOBS_PAGE = 500
NO_OWNER = bytes(wire.RANGE_BYTES)


class BlobRepair:
    """Walks the blobs of one device and puts right what the ring says about them."""

    def __init__(self, cluster: Cluster, blobs: Blobs, pace: Pace) -> None:
        self._cluster = cluster
        self._blobs = blobs
        self._pace = pace
        self.restored = 0
        self.taken_home = 0

    async def walk(self, source: Target) -> None:
        """Check every blob that `source` holds. Raises Unavailable when it stops answering."""
        after = b""
        while True:
            head = wire.encode(wire.BlobsCall(after, BLOBS_PAGE))
            page = wire.decode_blobs(await ask(source.link, wire.BLOBS, source.device, head))
            await self._check(source, page)
            if len(page) < BLOBS_PAGE:
                return
            after = page[-1].blob + bytes((page[-1].fragment,))

    async def _check(self, source: Target, page: Sequence[wire.BlobRow]) -> None:
        wanted: dict[int, tuple[Target, list[tuple[int, wire.BlobRow]]]] = {}
        for row in {row.blob: row for row in page}.values():
            policy = self._cluster.policies[row.policy]
            for position, target in enumerate(self._cluster.blob_targets(row.blob, policy)):
                piece = 0 if policy.kind == "replicated" else position
                wanted.setdefault(target.device, (target, []))[1].append((piece, row))
        incomplete: set[bytes] = set()
        for target, pieces in wanted.values():
            incomplete |= await self._complete(target, pieces)
        await self._take_home(source, [row for row in page if row.blob not in incomplete])

    async def _complete(
        self, target: Target, pieces: Sequence[tuple[int, wire.BlobRow]]
    ) -> set[bytes]:
        """Give a device the pieces it lacks; returns the blobs that are still incomplete there."""
        call = wire.HaveCall([(row.blob, piece) for piece, row in pieces])
        try:
            answer = await ask(target.link, wire.HAVE, target.device, wire.encode(call))
        except Unavailable:
            return {row.blob for _, row in pieces}
        incomplete: set[bytes] = set()
        for held, (piece, row) in zip(wire.decode_have(answer), pieces, strict=True):
            if held:
                continue
            extent = Extent(row.blob, row.policy, row.total, 0, row.total)
            try:
                await self._blobs.restore(extent, piece, target, NO_OWNER)
            except (Corrupt, Unavailable, TimeoutError) as error:
                log.info("a piece could not be restored yet: %s", error)
                incomplete.add(row.blob)
                continue
            self.restored += 1
            await self._pace.spend(row.total)
        return incomplete

    async def _take_home(self, source: Target, rows: Sequence[wire.BlobRow]) -> None:
        """Drop what `source` holds as a stand-in for primaries that now have their own."""
        home = []
        for row in rows:
            policy = self._cluster.policies[row.policy]
            primaries = self._cluster.blob_targets(row.blob, policy)
            if all(target.device != source.device for target in primaries):
                home.append(row.blob)
        if home:
            head = wire.encode(wire.DropBlobs(sorted(set(home))))
            await ask(source.link, wire.DROP_BLOBS, source.device, head)
            self.taken_home += len(set(home))
