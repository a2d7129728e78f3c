"""Blobs that nothing names: marked and swept, in passes that can be put off at any point.

A pass raises the *generation* of every device, then walks every record that any device held when its own rose
(replaced ones and those that only a minority holds included), and drops the pieces of blobs that none of them names
and that were neither written nor touched in this generation or the one before. What is written or named meanwhile is
safe by those stamps: an acceptor refuses a record whose blobs are older than that, or that was built on
something read before its generation rose. No clock is part of this; clocks only say when the next pass is due.
A device that does not answer, a record that cannot be read, or another ring: nothing is dropped. The pass goes
on later, unless what it needs is lost for good (a replaced record went bad): then the next one begins anew.

Memory is bounded by SLICE_BLOBS: the blobs are looked at in slices of so many (in the order of the ring's
partitions), with one walk of the records for each.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from typing import NamedTuple

import msgspec

from core.errors import Corrupt, RingstackError, Unavailable
from core.frame import Frame
from objectd import wire
from proxy.repair.pace import Pace
from proxy.repair.peers import TIMEOUT_S
from proxy.store import envelope, names
from proxy.store.cluster import Cluster, Target

log = logging.getLogger("ringstack.sweep")

SLICE_BLOBS = 400_000  # some 80 MB
BLOBS_PAGE = 5_000
DROP_IDS = 5_000  # in one call
META_BYTES = 256  # what one record costs against the pace

Place = tuple[int, bytes]  # partition, blob id


class Swept(NamedTuple):
    """What a pass did. `problem`: why it was put off, or empty."""

    generation: int
    looked_at: int
    dropped: int
    problem: str = ""


class _Seen(msgspec.Struct, gc=False):
    """A blob that may be dropped: the devices that list it."""

    devices: list[int]


class Orphans:
    """A conductor. `broken` leaves rules out, to prove that the simulator notices."""

    def __init__(
        self,
        cluster: Cluster,
        pace: Pace,
        *,
        slice_blobs: int = SLICE_BLOBS,
        broken: frozenset[str] = frozenset(),
    ) -> None:
        self._cluster = cluster
        self._pace = pace
        self._slice_blobs = slice_blobs
        self._careless = "sweep-without-grace" in broken
        self._tables = (False,) if "sweep-forgets-replaced" in broken else (False, True)
        self._epoch = 0
        self._generation = 0
        self._targets: dict[int, Target] = {}
        self.looked_at = 0
        self.dropped = 0

    async def due(self, every_us: int) -> bool:
        """A pass was begun and not finished, or none was in that time (by the devices' clocks).

        Raises Unavailable when a device is away.
        """
        states = (await self._states()).values()
        since_us = self._cluster.env.wall_us() - max(state.begun_us for state in states)
        return _unfinished(states) is not None or not 0 <= since_us < every_us

    async def one_pass(self) -> Swept:
        """Begin a pass or go on with one that was put off; walk, drop, end."""
        self.looked_at = self.dropped = self._generation = 0
        problem = ""
        try:
            await self._begin()
            try:
                await self._sweep()
            except Corrupt:  # nothing will bring it back: the next pass is another one
                await self._end()
                raise
            await self._end()
        except RingstackError as error:
            problem = error.message
            log.info("the sweep is put off: %s", problem)
        return Swept(self._generation, self.looked_at, self.dropped, problem)

    # -- beginning and ending --------------------------------------------------------------------

    async def _states(self) -> dict[int, wire.GenerationState]:
        self._epoch = self._cluster.epoch.number
        self._targets = {target.device: target for target in self._cluster.targets}
        states = {}
        for target in self._targets.values():
            frame = await self._ask(target, wire.GENERATION)
            states[target.device] = wire.decode_generation(frame.head)
            self._cluster.heard(states[target.device].number)
        return states

    async def _begin(self) -> None:
        states = (await self._states()).values()
        number = _unfinished(states) or max(state.number for state in states) + 1
        for target in self._targets.values():
            frame = await self._ask(target, wire.BEGIN_SWEEP, wire.SweepCall(number))
            state = wire.decode_generation(frame.head)
            if state.number != number or not state.whole:
                self._generation = number
                await self._end()
                raise Unavailable("NotWhole", f"device {target.device} cannot tell what it held")
        self._generation = number
        self._cluster.heard(number)

    async def _end(self) -> None:
        for target in self._targets.values():
            await self._ask(target, wire.END_SWEEP, wire.SweepCall(self._generation))

    async def _ask(
        self, target: Target, operation: int, call: msgspec.Struct | None = None
    ) -> Frame:
        """An answer that is OK, from a device that obeys our ring. Raises Unavailable."""
        head = b"" if call is None else wire.encode(call)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                frame = await target.link.ask(operation, target.device, head)
        except TimeoutError:
            raise Unavailable("NoAnswer", f"device {target.device} does not answer") from None
        if frame.status == wire.CORRUPT and isinstance(call, wire.NamingCall) and call.replaced:
            raise Corrupt("Spoiled", f"device {target.device} has lost a record that was replaced")
        if frame.status != wire.OK:
            raise Unavailable("NoAnswer", f"device {target.device} answers {frame.status}")
        if frame.epoch != self._epoch or self._cluster.epoch.number != self._epoch:
            raise Unavailable("OtherRing", "the ring changed")
        return frame

    # -- slices ----------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        after = b""
        while True:
            old, after = await self._slice(after)
            self.looked_at += len(old)
            if old:
                await self._spare_named(old)
            if old:
                await self._drop(old)
            if not after:
                return

    async def _slice(self, after: bytes) -> tuple[dict[bytes, _Seen], bytes]:
        """Blobs in order behind `after` that are old enough everywhere, and where the next slice begins."""
        limit = max(1, self._slice_blobs // max(1, len(self._targets)))
        seen: dict[bytes, _Seen] = {}
        young: set[bytes] = set()
        ends: list[Place] = []
        for target in self._targets.values():
            end = await self._list(target, after, limit, seen, young)
            if end is not None:
                ends.append(end)
        for blob in young:
            seen.pop(blob, None)
        if not ends:
            return seen, b""
        end = min(ends)
        return {blob: one for blob, one in seen.items() if self._place(blob) <= end}, end[
            1
        ] + b"\xff"

    async def _list(
        self,
        target: Target,
        after: bytes,
        limit: int,
        seen: dict[bytes, _Seen],
        young: set[bytes],
    ) -> Place | None:
        """Add what a device lists; where it stopped, or None at its end."""
        count = 0
        while True:
            frame = await self._ask(target, wire.BLOBS, wire.BlobsCall(after, BLOBS_PAGE, bad=True))
            page = wire.decode_blobs(frame.body)
            for row in page:
                if row.stamp >= self._generation - 1 and not self._careless:
                    young.add(row.blob)
                else:
                    one = seen.setdefault(row.blob, _Seen([]))
                    if target.device not in one.devices:
                        one.devices.append(target.device)
            count += len(page)
            if len(page) < BLOBS_PAGE:
                return None
            after = page[-1].blob + bytes((page[-1].fragment,))
            if count >= limit:
                return self._place(page[-1].blob)
            await self._pace.spend(0)

    def _place(self, blob: bytes) -> Place:
        return self._cluster.epoch.partition(blob), blob

    # -- marking ---------------------------------------------------------------------------------

    async def _spare_named(self, old: dict[bytes, _Seen]) -> None:
        """Take out every blob that some record names. Raises Corrupt when one cannot be understood."""
        for target in self._targets.values():
            for replaced in self._tables:
                async for page in self._naming(target, replaced=replaced):
                    for row in page:
                        _spare(old, row.meta)

    async def _naming(
        self, target: Target, *, replaced: bool
    ) -> AsyncIterator[list[wire.NamingRow]]:
        after = b""
        while True:
            call = wire.NamingCall(self._generation, replaced, after)
            frame = await self._ask(target, wire.NAMING, call)
            page = wire.decode_naming(frame.body)
            yield page.rows
            await self._pace.spend(sum(len(row.meta) for row in page.rows) + META_BYTES)
            after = page.after
            if not after:
                return

    # -- dropping --------------------------------------------------------------------------------

    async def _drop(self, orphans: dict[bytes, _Seen]) -> None:
        """Each device drops them if they are as old there as they were when it was asked."""
        await self._states_again()
        wanted: dict[int, list[bytes]] = {}
        for blob, one in orphans.items():
            for device in one.devices:
                wanted.setdefault(device, []).append(blob)
        below = 0 if self._careless else self._generation - 1
        if not below and not self._careless:
            return
        for device, blobs in wanted.items():
            for start in range(0, len(blobs), DROP_IDS):
                call = wire.DropBlobs(blobs[start : start + DROP_IDS], below)
                await self._ask(self._targets[device], wire.DROP_BLOBS, call)
        self.dropped += len(orphans)

    async def _states_again(self) -> None:
        """Every device still obeys the ring that the pass began with."""
        for target in self._targets.values():
            await self._ask(target, wire.GENERATION)


def _unfinished(states: Collection[wire.GenerationState]) -> int | None:
    """The pass that was begun and can still be finished: all that have heard of it know what they held."""
    number = max(state.number for state in states)
    whole = all(state.whole for state in states if state.number == number)
    return number if number and whole else None


def _spare(old: dict[bytes, _Seen], meta: bytes) -> None:
    try:
        record = names.decode_object(envelope.unseal(meta).record)
    except msgspec.MsgspecError as error:
        raise Corrupt("BadRecord", f"a record cannot be understood: {error}") from None
    for extent in record.manifest:
        old.pop(extent.blob, None)
