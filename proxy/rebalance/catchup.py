"""Joiners of a joint epoch learn the ranges that move to them, before the new replica sets stand alone.

What was decided by the old set alone must be known to a majority of the new one. A majority of the old set
is asked, of devices that obey the joint epoch already: none of them takes part in a decision of the old
set any more, and any such decision is held by at least one of them. A record that a majority of the old
set holds is told to the joiner as a fact; any other is settled by a round of its own, which both
sets have to confirm. Names decided while joint are known to both sets and need nothing.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from core.errors import Unavailable
from core.frame import Frame
from core.stamp import ZERO
from objectd import wire
from proxy.repair.pace import Pace
from proxy.repair.peers import TIMEOUT_S
from proxy.store.cluster import Cluster, Target
from proxy.store.registers import Register, Registers
from ring.epoch import Epoch

RANGES_PAGE = 1000
ROWS_PAGE = 1000
RANGES_AT_ONCE = 8
NAMES_AT_ONCE = 32

Rows = dict[str, wire.Row[object]]


class NotYet(Unavailable):
    """Too few of a partition's old replicas obey the joint epoch and answer."""

    def __init__(self, partition: int) -> None:
        super().__init__(
            "NotYet", f"partition {partition} waits for a majority of its old replicas"
        )


class _Partition(NamedTuple):
    """A partition that moves: who joins, and the old replicas with what is a majority of them."""

    number: int
    joiner: Target
    old: tuple[Target, ...]

    def majority(self, count: int) -> bool:
        return count * 2 > len(self.old)


class CatchUp:
    """Brings the joiners of one joint epoch up to date. `copied` counts records, `seen` ranges."""

    def __init__(
        self, cluster: Cluster, registers: Registers, pace: Pace, *, broken: frozenset[str]
    ) -> None:
        self._cluster = cluster
        self._registers = registers
        self._pace = pace
        self._broken = broken
        self._epoch = cluster.epoch
        self.copied = 0
        self.seen = 0
        self.waiting: set[int] = moving_partitions(cluster.epoch)

    async def run(self) -> bool:
        """Go through every partition that has not caught up yet; True when all have.

        What could not be done now is left for the next call.
        """
        if "no-catch-up" in self._broken:
            self.waiting.clear()
        by_device: dict[int, list[_Partition]] = defaultdict(list)
        for number in sorted(self.waiting):
            partition = self._partition(number)
            by_device[partition.joiner.device].append(partition)
        await asyncio.gather(*(self._join(partitions) for partitions in by_device.values()))
        return not self.waiting

    def _partition(self, number: int) -> _Partition:
        new, old = self._epoch.index_sets(number)
        targets = {target.device: target for target in self._cluster.targets}
        (joiner,) = {one.id for one in new} - {one.id for one in old}
        return _Partition(number, targets[joiner], tuple(targets[one.id] for one in old))

    async def _join(self, partitions: Iterable[_Partition]) -> None:
        """One joiner, partition by partition."""
        for partition in partitions:
            try:
                await self._catch_up(partition)
            except (Unavailable, TimeoutError):
                continue
            self.waiting.discard(partition.number)

    async def _catch_up(self, partition: _Partition) -> None:
        joiner, number = partition.joiner, partition.number
        asked = await asyncio.gather(*(self._ranges(one, number) for one in partition.old))
        held = {
            target.device: ranges
            for target, ranges in zip(partition.old, asked, strict=True)
            if ranges is not None
        }
        own = await self._ranges(joiner, number)
        if own is None or not partition.majority(len(held)):
            raise NotYet(number)
        fenced = tuple(one for one in partition.old if one.device in held)
        names = sorted({range_id for ranges in held.values() for range_id in ranges})
        self.seen += len(names)
        for start in range(0, len(names), RANGES_AT_ONCE):
            await asyncio.gather(
                *(
                    self._range(partition, fenced, range_id, held, own)
                    for range_id in names[start : start + RANGES_AT_ONCE]
                )
            )

    async def _range(
        self,
        partition: _Partition,
        fenced: tuple[Target, ...],
        range_id: bytes,
        held: Mapping[int, Mapping[bytes, wire.RangeRow]],
        own: Mapping[bytes, wire.RangeRow],
    ) -> None:
        """Teach the joiner one range: its fence, then every name on which it lags."""
        rows = [held[one.device].get(range_id) for one in fenced]
        stage = max(row.stage for row in rows if row is not None)
        mine = own.get(range_id)
        if mine is None or mine.stage < stage:
            await self._ask(
                partition.joiner,
                wire.FENCE,
                wire.encode(wire.Fence(range_id, stage, wire.ANY_CONFIG)),
            )
        floor = max(row.floor for row in rows if row is not None)
        call = wire.Floor(range_id, wire.ANY_CONFIG, floor)
        for one, row in zip((*fenced, partition.joiner), (*rows, mine), strict=True):
            if floor > (ZERO if row is None else row.floor):
                await self._ask(one, wire.FLOOR, wire.encode(call))
        alike = [row for row in rows if row and mine and row.digest == mine.digest]
        if partition.majority(len(alike)):
            return
        marker = b""
        while True:
            pages = await asyncio.gather(
                *(self._page(one, range_id, marker) for one in (*fenced, partition.joiner))
            )
            ends = [page.rows[-1].name.encode() for page in pages if page.truncated]
            end = min(ends, default=None)
            tables: list[Rows] = [
                {row.name: row for row in page.rows if end is None or row.name.encode() <= end}
                for page in pages
            ]
            register = Register(range_id, b"", stage)
            await self._names(partition, fenced, register, floor, tables=tables)
            if end is None:
                return
            marker = end

    async def _names(
        self,
        partition: _Partition,
        fenced: tuple[Target, ...],
        where: Register,
        floor: bytes,
        *,
        tables: list[Rows],
    ) -> None:
        """Teach the joiner names of one range; all had this floor before they listed what they hold."""
        *old, own = tables
        work = []
        for name in sorted({name for table in old for name in table}):
            rows = [table.get(name) for table in old]
            top = max(row.ballot for row in rows if row is not None)
            mine = own.get(name)
            if mine is not None and mine.ballot >= top and not mine.flags & wire.DAMAGED:
                continue
            holders = [
                target
                for target, row in zip(fenced, rows, strict=True)
                if row is not None and row.ballot == top and not row.flags & wire.DAMAGED
            ]
            register = where._replace(name=name.encode())
            work.append(self._teach(partition, register, top, holders, floor=floor))
        for start in range(0, len(work), NAMES_AT_ONCE):
            await asyncio.gather(*work[start : start + NAMES_AT_ONCE])

    async def _teach(
        self,
        partition: _Partition,
        register: Register,
        ballot: bytes,
        holders: list[Target],
        *,
        floor: bytes,
    ) -> None:
        """Tell the joiner a record that a majority of the old set holds; settle any other."""
        self.copied += 1
        if not partition.majority(len(holders)):
            await self._registers.renew(register)
            return
        read = wire.Read(
            register.range_id, register.name, wire.ANY_STAGE, wire.WANT_ALL, wire.ANY_CONFIG
        )
        frame = await self._ask(holders[0], wire.READ, wire.encode(read))
        held = wire.decode_held(frame.head)
        if held.ballot != ballot or wire.digest_of(frame.body) != held.digest:
            await self._registers.renew(register)  # it has just changed, or cannot be read there
            return
        await self._pace.spend(len(frame.body), registers=True)
        accept = wire.Accept(
            register.range_id,
            register.name,
            ballot,
            held.flags,
            held.size,
            held.expires_s,
            held.digest,
            held.summary_bytes,
            held.meta_bytes,
            chosen=True,
            floor=floor,
            basis=held.generation,
        )
        joiner = partition.joiner
        async with asyncio.timeout(TIMEOUT_S):
            answer = await joiner.link.ask(
                wire.ACCEPT, joiner.device, wire.encode(accept), bytes(frame.body)
            )
        if answer.status == wire.OK:
            return
        if answer.status != wire.REFUSED or await self._held(joiner, register) < ballot:
            raise NotYet(partition.number)  # a floor or a generation rose meanwhile: later

    async def _held(self, target: Target, register: Register) -> bytes:
        """The ballot at which a device holds a name: of something newer, decided while joint."""
        range_id, name, _ = register
        read = wire.Read(range_id, name, wire.ANY_STAGE, wire.WANT_BALLOT, wire.ANY_CONFIG)
        return wire.decode_held((await self._ask(target, wire.READ, wire.encode(read))).head).ballot

    # -- calls ---------------------------------------------------------------------------------

    async def _ranges(self, target: Target, partition: int) -> dict[bytes, wire.RangeRow] | None:
        """The ranges of a partition that a device holds; None unless it obeys the joint epoch."""
        found: dict[bytes, wire.RangeRow] = {}
        after = b""
        while True:
            head = wire.encode(wire.RangesCall(after, RANGES_PAGE, partition))
            try:
                frame = await self._ask(target, wire.RANGES, head)
            except (Unavailable, TimeoutError):
                return None
            page = wire.decode_ranges(frame.body)
            found.update((row.range_id, row) for row in page)
            if len(page) < RANGES_PAGE:
                return found
            after = page[-1].range_id

    async def _page(self, target: Target, range_id: bytes, marker: bytes) -> wire.Page[object]:
        call = wire.ListCall(
            range_id,
            wire.ANY_STAGE,
            wire.ANY_CONFIG,
            b"",
            b"",
            marker,
            b"",
            ROWS_PAGE,
            reverse=False,
            dead=True,
        )
        frame = await self._ask(target, wire.LIST, wire.encode(call))
        page: wire.Page[object] = wire.page_decoder(object).decode(frame.body)
        return page

    async def _ask(self, target: Target, operation: int, head: bytes) -> Frame:
        """One call, answered by a device that obeys the joint epoch or a later one. Raises Unavailable."""
        async with asyncio.timeout(TIMEOUT_S):
            frame = await target.link.ask(operation, target.device, head)
        if frame.status != wire.OK:
            raise Unavailable("NoAnswer", f"device {target.device} answers {frame.status}")
        if frame.epoch < self._epoch.number:
            raise Unavailable("OldRing", f"device {target.device} is at epoch {frame.epoch}")
        return frame


def moving_partitions(epoch: Epoch) -> set[int]:
    """Partitions whose index replicas move in a joint epoch."""
    rows = epoch.sources.get(epoch.index_replicas)
    return set() if rows is None or not epoch.joint else set(rows.partitions.tolist())
