"""Registers of a device that missed writes, brought up to date from its peers.

Two replicas of a range that agree on its digest hold the same. Where they differ, their rows (names and
ballots, tombstones included) are compared, and what the peer holds at a higher ballot is sent to the device
as a fact, once a majority is known to hold it: a chosen record may be learned whatever was promised, because
every later round sees it anyway. What no majority holds is settled by a round of its own, like any read.
"""

from __future__ import annotations

import asyncio

from core.errors import Unavailable
from core.frame import Frame
from core.stamp import ZERO
from objectd import wire
from proxy.repair.pace import Pace
from proxy.repair.peers import ask
from proxy.store.cluster import Cluster, Target
from proxy.store.registers import Register, Registers

RANGES_PAGE = 1000
ROWS_PAGE = 1000
AT_ONCE = 32  # registers of one range copied at a time
RANGES_AT_ONCE = 8


class RegisterRepair:
    """Repairs registers of one device from one peer at a time."""

    def __init__(self, cluster: Cluster, registers: Registers, pace: Pace) -> None:
        self._cluster = cluster
        self._registers = registers
        self._pace = pace
        self.copied = 0

    async def from_peer(self, device: Target, peer: Target, partition: int) -> None:
        """Bring every range of a partition that both should hold up to what the peer has.

        Raises Unavailable when one of them stops answering.
        """
        after = b""
        while True:
            head = wire.encode(wire.RangesCall(after, RANGES_PAGE, partition))
            page = wire.decode_ranges(await ask(peer.link, wire.RANGES, peer.device, head))
            await self._compare(device, peer, page)
            if len(page) < RANGES_PAGE:
                return
            after = page[-1].range_id

    async def relearn(self, device: Target, lost: wire.LostRegister) -> None:
        """Replace a register that was found bad on a device. Raises Unavailable."""
        best: tuple[bytes, Target] | None = None
        register = Register(lost.range_id, lost.name, wire.ANY_STAGE)
        for peer in self._cluster.index_replicas(lost.range_id).targets:
            if peer.device == device.device:
                continue
            held = wire.decode_held((await self._read(peer, register, wire.WANT_BALLOT)).head)
            if best is None or held.ballot > best[0]:
                best = held.ballot, peer
        if best is not None:
            stats = wire.encode(wire.StatsCall([lost.range_id], [wire.ANY_CONFIG]))
            body = await ask(best[1].link, wire.STATS, best[1].device, stats)
            stage = wire.decode_stats(body)[0].stage
            await self._copy(device, best[1], register._replace(stage=stage))

    async def _compare(self, device: Target, peer: Target, theirs: list[wire.RangeRow]) -> None:
        if not theirs:
            return
        head = wire.encode(
            wire.StatsCall([row.range_id for row in theirs], [wire.ANY_CONFIG] * len(theirs))
        )
        own = wire.decode_stats(await ask(device.link, wire.STATS, device.device, head))
        differing = []
        for mine, row in zip(own, theirs, strict=True):
            if row.stage > mine.stage:
                fence = wire.encode(wire.Fence(row.range_id, row.stage, wire.ANY_CONFIG))
                await ask(device.link, wire.FENCE, device.device, fence)
            if row.floor > mine.floor:
                floor = wire.encode(wire.Floor(row.range_id, wire.ANY_CONFIG, row.floor))
                await ask(device.link, wire.FLOOR, device.device, floor)
            if row.digest != mine.digest:
                differing.append(row)
        for start in range(0, len(differing), RANGES_AT_ONCE):
            some = differing[start : start + RANGES_AT_ONCE]
            await asyncio.gather(*(self._pull_range(device, peer, row) for row in some))

    async def _pull_range(self, device: Target, peer: Target, their: wire.RangeRow) -> None:
        range_id = their.range_id
        marker = b""
        while True:
            theirs = await self._rows(peer, range_id, marker, b"")
            last = theirs.rows[-1].name.encode() if theirs.rows else b""
            beyond = last + b"\0" if theirs.truncated else b""
            own = await self._rows(device, range_id, marker, beyond)
            held = {row.name: row.ballot for row in own.rows if not row.flags & wire.DAMAGED}
            lagging = [
                Register(range_id, row.name.encode(), their.stage)
                for row in theirs.rows
                if row.ballot > held.get(row.name, ZERO) and not row.flags & wire.DAMAGED
            ]
            for start in range(0, len(lagging), AT_ONCE):
                copying = [
                    self._copy(device, peer, register)
                    for register in lagging[start : start + AT_ONCE]
                ]
                await asyncio.gather(*copying)
            if not theirs.truncated:
                return
            marker = last

    @staticmethod
    async def _rows(
        target: Target, range_id: bytes, marker: bytes, end_marker: bytes
    ) -> wire.Page[object]:
        call = wire.ListCall(
            range_id,
            wire.ANY_STAGE,
            wire.ANY_CONFIG,
            b"",
            b"",
            marker,
            end_marker,
            ROWS_PAGE if not end_marker else 10 * ROWS_PAGE,
            reverse=False,
            dead=True,
        )
        body = await ask(target.link, wire.LIST, target.device, wire.encode(call))
        page: wire.Page[object] = wire.page_decoder(object).decode(body)
        return page

    async def _copy(self, device: Target, peer: Target, register: Register) -> None:
        """Tell the device what the peer holds, if it is chosen; otherwise settle it by a round."""
        range_id, name, _ = register
        frame = await self._read(peer, register, wire.WANT_ALL)
        held = wire.decode_held(frame.head)
        if held.ballot == ZERO or wire.digest_of(frame.body) != held.digest:
            return
        self.copied += 1
        await self._pace.spend(len(frame.body), registers=True)
        floor = await self._chosen(register, held, device, peer)
        if floor is None:
            await self._registers.renew(register)
            return
        accept = wire.Accept(
            range_id,
            name,
            held.ballot,
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
        await device.link.ask(wire.ACCEPT, device.device, wire.encode(accept), bytes(frame.body))

    async def _chosen(
        self, register: Register, held: wire.Held, device: Target, peer: Target
    ) -> bytes | None:
        """The range's floor where a majority of its replicas hold just this record, None if they do not."""
        targets, majority, _ = self._cluster.index_replicas(register.range_id)
        holders, floor = [], held.floor
        for position, other in enumerate(targets):
            if other.device == device.device:
                continue
            if other.device != peer.device:
                frame = await self._read(other, register, wire.WANT_BALLOT)
                theirs = wire.decode_held(frame.head)
                if theirs.ballot != held.ballot:
                    continue
                floor = min(floor, theirs.floor)
            holders.append(position)
        return floor if majority.of(holders) else None

    @staticmethod
    async def _read(target: Target, register: Register, want: int) -> Frame:
        range_id, name, _ = register
        read = wire.Read(range_id, name, wire.ANY_STAGE, want, wire.ANY_CONFIG)
        frame = await target.link.ask(wire.READ, target.device, wire.encode(read))
        if frame.status != wire.OK:
            raise Unavailable("NoAnswer", "a peer stopped answering during repair")
        return frame
