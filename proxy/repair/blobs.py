"""Pieces of blobs that are missing where they belong, and stand-ins that can go.

`Fill`: the device's pieces of a partition are compared with what others hold of it. A piece that somebody has
is copied as it is, from the nearest; a fragment that nobody has is made from k others, and with it all
other missing fragments of its stripe, from the same reads. `Give`: a device that holds pieces of a partition
it is no home of gives each up once it is held, good, where it belongs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from core.errors import Corrupt, Full, Unavailable
from objectd import wire
from proxy.repair.nearness import Nearness
from proxy.repair.pace import Pace
from proxy.repair.peers import answer, ask
from proxy.repair.plan import Fill, Give
from proxy.store.blobs import Blobs
from proxy.store.cluster import Cluster, Target
from proxy.store.layout import WHOLE, layout_with
from proxy.store.record import Extent
from ring.policy import Policy

log = logging.getLogger("ringstack.repair")

BLOBS_PAGE = 1000
WORKERS = 8  # pieces under way at a time
NOT_YET = (Corrupt, Unavailable, Full, TimeoutError)


@dataclass(slots=True)
class _Missing:
    """A piece that a device lacks, and who holds which pieces of its stripe."""

    fill: Fill
    blob: bytes
    total: int
    holders: dict[int, list[Target]] = field(default_factory=dict)

    @property
    def extent(self) -> Extent:
        return Extent(self.blob, self.fill.policy, self.total, 0, self.total)


class BlobRepair:
    """Performs the work of `proxy.repair.plan`. Counts what it has put right."""

    def __init__(self, cluster: Cluster, blobs: Blobs, pace: Pace) -> None:
        self._cluster = cluster
        self._blobs = blobs
        self._pace = pace
        self._near = Nearness(cluster)
        self._targets = {target.device: target for target in cluster.targets}
        self.restored = 0
        self.taken_home = 0
        self.put_off = 0  # pieces that could not be restored yet

    # -- filling -------------------------------------------------------------------------------

    async def fill(self, fills: Sequence[Fill]) -> None:
        """Restore what the devices lack, in this order, several pieces at a time."""
        later: list[_Missing] = []
        await self._each(self._to_fill(fills, later))
        await self._each(self._still_missing(later))

    async def _to_fill(
        self, fills: Sequence[Fill], later: list[_Missing]
    ) -> AsyncIterator[_Missing]:
        """Pieces to restore; into `later` go those that the agent of another device restores, too."""
        for fill in fills:
            try:
                missing = await self._missing(fill)
            except Unavailable as error:
                log.info("partition %d is put off: %s", fill.partition, error.message)
                self.put_off += 1
                continue
            for one in missing:
                if fill.piece not in one.holders and min(self._to_make(one)) != fill.piece:
                    later.append(one)
                else:
                    yield one

    async def _still_missing(self, later: Sequence[_Missing]) -> AsyncIterator[_Missing]:
        for one in later:
            target = self._targets[one.fill.device]
            try:
                [held] = await self._have(target, [(one.blob, one.fill.piece)])
            except Unavailable:
                self.put_off += 1
                continue
            if not held:
                yield one

    async def _each(self, pieces: AsyncIterator[_Missing]) -> None:
        """Restore what comes, a bounded number at a time."""
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for one in pieces:
                if len(tasks) >= WORKERS:
                    tasks = await _some_ended(tasks)
                tasks.add(asyncio.get_running_loop().create_task(self._restore(one)))
            while tasks:
                tasks = await _some_ended(tasks)
        finally:
            for task in tasks:
                task.cancel()

    async def _missing(self, fill: Fill) -> list[_Missing]:
        """What the device lacks of a partition, fewest holders first. Raises Unavailable."""
        home = self._targets[fill.device]
        own = {(row.blob, row.fragment) async for row in self._walk(home, fill)}
        found: dict[bytes, _Missing] = {}
        for source in (self._targets[device] for device in fill.sources):
            async for row in self._walk(source, fill):
                if (row.blob, fill.piece) in own:
                    continue
                one = found.setdefault(row.blob, _Missing(fill, row.blob, row.total))
                one.holders.setdefault(row.fragment, []).append(source)
        return sorted(found.values(), key=lambda one: sum(map(len, one.holders.values())))

    async def _walk(self, target: Target, where: Fill | Give) -> AsyncIterator[wire.BlobRow]:
        """Pieces that a device holds of a partition of a policy."""
        after = b""
        while True:
            call = wire.BlobsCall(after, BLOBS_PAGE, where.partition, where.policy)
            body = await ask(target.link, wire.BLOBS, target.device, wire.encode(call))
            page = wire.decode_blobs(body)
            for row in page:
                if (row.fragment == WHOLE) == (where.piece == WHOLE):
                    yield row
            if len(page) < BLOBS_PAGE:
                return
            after = page[-1].blob + bytes((page[-1].fragment,))

    async def _restore(self, one: _Missing) -> None:
        home = self._targets[one.fill.device]
        holders = one.holders.get(one.fill.piece)
        try:
            if holders:
                sources = self._near.order(home, holders)
                policy = self._cluster.policies[one.fill.policy]
                parts = layout_with(policy, one.fill.piece).enough
                await self._pace.spend(-(-one.total // parts))
                await self._blobs.copy_piece(one.extent, one.fill.piece, sources, home)
                self.restored += 1
            else:
                await self._pace.spend(one.total)
                made = await self._blobs.rebuild(one.extent, self._to_make(one))
                self.restored += made
        except NOT_YET as error:
            log.info("a piece could not be restored yet: %s", error)
            self.put_off += 1

    def _to_make(self, one: _Missing) -> dict[int, Target]:
        """Fragments of a stripe that are missing on their homes, as far as is known, by number."""
        fill = one.fill
        policy = self._cluster.policies[fill.policy]
        looked_at = set(fill.sources)
        wanted: dict[int, Target] = {}
        for piece, target in self._homes(policy, one.blob, fill.piece):
            looked = target.device in looked_at and target not in one.holders.get(piece, ())
            if target.device == fill.device or piece in fill.lacking or looked:
                wanted[piece] = target
        return wanted

    def _homes(self, policy: Policy, blob: bytes, piece: int) -> list[tuple[int, Target]]:
        """Pieces of the layout to which a piece belongs, and where each is at home."""
        pieces = layout_with(policy, piece).pieces
        return list(zip(pieces, self._cluster.blob_targets(blob, policy), strict=False))

    # -- damage --------------------------------------------------------------------------------

    async def heal(self, target: Target, lost: Sequence[wire.LostPiece]) -> None:
        """Replace pieces that were found bad on a device, from wherever they can be had."""
        for piece in lost:
            policy = self._cluster.policies.get(piece.policy)
            if policy is None:
                continue
            extent = Extent(piece.blob, piece.policy, piece.total, 0, piece.total)
            try:
                await self._pace.spend(piece.total)
                if not layout_with(policy, piece.fragment).coded:
                    others = [one for one in self._cluster.targets if one.device != target.device]
                    homes = self._cluster.blob_targets(piece.blob, policy)
                    sources = self._near.order(target, homes)
                    sources += [one for one in others if one not in homes]
                    sources = [one for one in sources if one.device != target.device]
                    await self._blobs.copy_piece(extent, piece.fragment, sources, target)
                else:
                    await self._blobs.rebuild(extent, {piece.fragment: target})
                self.restored += 1
            except NOT_YET as error:
                log.info("a bad piece could not be replaced yet: %s", error)
                self.put_off += 1

    # -- giving up -----------------------------------------------------------------------------

    async def give(self, gives: Iterable[Give]) -> bool:
        """Drop what local devices hold of partitions they are no home of.

        False when a device that had to be asked did not answer; what it is asked for then stays where it is.
        """
        complete = True
        for give in gives:
            try:
                await self._give(give)
            except Unavailable as error:
                log.debug("hand-offs: %s", error.message)
                complete = False
        return complete

    async def _give(self, give: Give) -> None:
        source = self._targets[give.device]
        page: list[bytes] = []
        async for row in self._walk(source, give):
            if row.fragment == give.piece:
                page.append(row.blob)
            if len(page) >= BLOBS_PAGE:
                await self._give_up(source, give, page)
                page = []
        if page:
            await self._give_up(source, give, page)

    async def _give_up(self, source: Target, give: Give, blobs: Sequence[bytes]) -> None:
        policy, epoch = self._cluster.policies[give.policy], self._cluster.epoch.number
        safe = set(blobs)
        for piece, target in self._homes(policy, blobs[0], give.piece):
            if piece != give.piece:
                continue
            wanted = [(blob, piece) for blob in blobs]
            held = await self._have(target, wanted, epoch=epoch)
            safe -= {blob for blob, there in zip(blobs, held, strict=True) if not there}
        if safe and self._cluster.epoch.number == epoch:
            call = wire.DropPieces([(blob, give.piece) for blob in sorted(safe)])
            await ask(source.link, wire.DROP_PIECES, source.device, wire.encode(call))
            self.taken_home += len(safe)

    @staticmethod
    async def _have(
        target: Target, pieces: Sequence[tuple[bytes, int]], *, epoch: int | None = None
    ) -> list[bool]:
        """Which pieces a device holds, good. Raises Unavailable, also when it follows another ring."""
        call = wire.encode(wire.HaveCall(list(pieces)))
        frame = await answer(target.link, wire.HAVE, target.device, call)
        if epoch not in {None, frame.epoch}:
            raise Unavailable("OtherRing", f"device {target.device} follows another ring")
        return wire.decode_have(frame.body)


async def _some_ended(tasks: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Wait for one of them at least; those that are left. Raises what one of them raised."""
    ended, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in ended:
        task.result()
    return left
