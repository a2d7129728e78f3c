"""Tombstones whose time is over: forgotten by every replica, or by none that matters.

A range is taken in four steps, each of which all of its replicas must answer: learn which tombstones there
are; raise the range's *floor* to the highest of them (nothing at or below it is promised or accepted from
then on); ask who holds just these; tell all to forget those that everybody holds. Whatever was on its way
when the floor rose is refused, and nobody has anything older, so nothing can rise again; clocks
decide only which tombstones are worth the trouble. Any number of coordinators may be at it, and die at it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from core.errors import RingstackError, Unavailable
from core.limits import LINEAGE_WINDOW_US
from core.stamp import clock_of
from objectd import wire
from proxy.repair.pace import Pace
from proxy.repair.peers import TIMEOUT_S, ask
from proxy.store.cluster import Cluster, Target

log = logging.getLogger("ringstack.sweep")

RANGES_PAGE = 500
NAMES_AT_ONCE = 500  # a call's head must fit a frame
OLDER_THAN_US = 10 * LINEAGE_WINDOW_US  # no proposer asks for its own earlier effect for so long
EVERYTHING = b"\xff" * 16
NAME_BYTES = 64  # what one name counts for against the pace

Name = tuple[bytes, bytes]


class Reclaimed(NamedTuple):
    """What one pass did. `complete`: every replica of every range answered."""

    names: int
    complete: bool


class Tombstones:
    """A coordinator. `broken` leaves rules out, to prove that the simulator notices."""

    def __init__(
        self,
        cluster: Cluster,
        pace: Pace,
        *,
        older_than_us: int = OLDER_THAN_US,
        broken: frozenset[str] = frozenset(),
    ) -> None:
        self._cluster = cluster
        self._pace = pace
        self._older_than_us = older_than_us
        self._broken = broken
        self._names = 0

    async def one_pass(self) -> Reclaimed:
        """Look at every range once, through its first replica."""
        self._names = 0
        complete = True
        for device in self._cluster.targets:
            try:
                complete = await self._ranges_of(device) and complete
            except RingstackError as error:
                log.debug("ranges of device %d: %s", device.device, error.message)
                complete = False
        return Reclaimed(self._names, complete)

    async def _ranges_of(self, device: Target) -> bool:
        after, complete = b"", True
        while True:
            head = wire.encode(wire.RangesCall(after, RANGES_PAGE))
            page = wire.decode_ranges(await ask(device.link, wire.RANGES, device.device, head))
            mine = [row.range_id for row in page if self._first(row.range_id) == device.device]
            for range_id in await self._with_tombstones(device, mine):
                try:
                    await self._range(range_id)
                except RingstackError as error:
                    log.debug("tombstones of range %s: %s", range_id.hex(), error.message)
                    complete = False
            if len(page) < RANGES_PAGE:
                return complete
            after = page[-1].range_id

    def _first(self, range_id: bytes) -> int:
        return self._cluster.index_replicas(range_id).targets[0].device

    async def _with_tombstones(self, device: Target, ranges: list[bytes]) -> list[bytes]:
        if not ranges:
            return []
        stats = await self._stats(device, ranges)
        return [
            range_id for range_id, row in zip(ranges, stats, strict=True) if row.held > row.count
        ]

    @staticmethod
    async def _stats(device: Target, ranges: list[bytes]) -> list[wire.RangeStats]:
        head = wire.encode(wire.StatsCall(ranges, [wire.ANY_CONFIG] * len(ranges)))
        return wire.decode_stats(await ask(device.link, wire.STATS, device.device, head))

    async def _range(self, range_id: bytes) -> None:
        """Reclaim what can be reclaimed of one range. Raises Unavailable when a replica is away."""
        targets, majority, config = self._cluster.index_replicas(range_id)
        if len(majority.sets) > 1:
            raise Unavailable("Moving", "the range is moving to other replicas")
        call = wire.StatsCall([range_id], [config])
        told = await self._ask_all(targets, wire.STATS, call, wire.decode_stats)
        floor = min(row.floor for rows in told.values() for row in rows)
        after = b""
        while True:
            head = wire.encode(wire.TombstonesCall(range_id, config, after, EVERYTHING))
            page = wire.decode_tombstones(await call_in_place(targets[0], wire.TOMBSTONES, head))
            names = self._worth_it(page.rows)
            if names:
                highest = max(ballot for _, ballot in names)
                if highest > floor:
                    await self._raise_floor(targets, wire.Floor(range_id, config, highest))
                    floor = highest
                await self._forget(targets, wire.RowsCall(range_id, config, names))
            if not page.after:
                return
            after = page.after

    def _worth_it(self, names: Sequence[Name]) -> list[Name]:
        """Those that no proposer can be asking for."""
        newest_us = self._cluster.env.wall_us() - self._older_than_us
        return [(name, ballot) for name, ballot in names if clock_of(ballot) <= newest_us]

    async def _raise_floor(self, targets: Sequence[Target], call: wire.Floor) -> None:
        await self._ask_all(targets, wire.FLOOR, call, bytes)

    async def _forget(self, targets: Sequence[Target], call: wire.RowsCall) -> None:
        for start in range(0, len(call.rows), NAMES_AT_ONCE):
            names = call.rows[start : start + NAMES_AT_ONCE]
            part = msgspec.structs.replace(call, rows=names)
            held = await self._ask_all(targets, wire.HOLDS, part, wire.decode_have)
            everywhere = [
                name
                for position, name in enumerate(names)
                if self._all(answer[position] for answer in held.values())
            ]
            await self._pace.spend(NAME_BYTES * len(names))
            if everywhere:
                part = msgspec.structs.replace(call, rows=everywhere)
                done = await self._ask_all(targets, wire.RECLAIM, part, wire.decode_count)
                self._names += max(done.values())

    def _all(self, answers: Iterable[bool]) -> bool:
        """Everybody holds it."""
        if "tombstone-early" in self._broken:  # a majority of those who answered
            told = list(answers)
            return sum(told) * 2 > len(told)
        return all(answers)

    async def _ask_all(
        self,
        targets: Sequence[Target],
        operation: int,
        call: msgspec.Struct,
        decode: Callable[[bytes | memoryview], Any],
    ) -> dict[int, Any]:
        """The answers of all replicas, by device. Raises Unavailable when one does not answer."""
        head = wire.encode(call)
        answers = await asyncio.gather(
            *(call_in_place(one, operation, head) for one in targets), return_exceptions=True
        )
        failures = [one for one in answers if isinstance(one, BaseException)]
        allowed = 0
        if "tombstone-early" in self._broken:
            allowed = (len(targets) - 1) // 2
        if len(failures) > allowed:
            raise failures[0]
        return {
            one.device: decode(answer)
            for one, answer in zip(targets, answers, strict=True)
            if not isinstance(answer, BaseException)
        }


async def call_in_place(target: Target, operation: int, head: bytes) -> bytes | memoryview:
    """The body of an answer. Raises Unavailable when there is none, or the range has moved."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            frame = await target.link.ask(operation, target.device, head)
    except TimeoutError:
        raise Unavailable("NoAnswer", f"device {target.device} does not answer") from None
    if frame.status != wire.OK:
        raise Unavailable("NoAnswer", f"device {target.device} answers {frame.status}")
    return frame.body
