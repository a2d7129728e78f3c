"""Reading everything again and again, so that rot is found before the last good copy is needed.

A round reads every record of every segment, oldest first, and verifies it. What does not verify is taken out
of service (`objectd.damage`) and repair is told. Where the chain of records itself is broken, the
index tells what lies behind; such a segment is given to compaction, which saves what is good of it. The
rate is set, lower while clients are busy; the position survives a restart. Reads go past the page cache.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator

import msgspec

from core.errors import Corrupt
from core.limits import MIB
from objectd import rows
from objectd.device import Device
from objectd.log import Scanned
from objectd.segment_rows import INDEX_ROWS, Known, mark, read_known, rows_of

log = logging.getLogger("ringstack.objectd")

POSITION = "scrub.json"
RATE_BYTES_S = 20 * MIB
BUSY_SHARE = 0.25  # of the rate, while clients are busy
BUSY_CALLS_S = 25.0
BATCH_BYTES = 1 * MIB
BATCH_RECORDS = 64
REST_S = 6 * 3600.0  # from the begin of a round to that of the next
SAVE_S = 20.0


class Position(msgspec.Struct):
    """Where the scrub of a device is; a small file at its root."""

    segment: int = 0
    offset: int = 0
    rounds: int = 0
    began_us: int = 0


class Scrub:
    """The scrub of one device. `client_calls` counts what clients have asked for so far."""

    def __init__(
        self,
        device: Device,
        *,
        rate_bytes_s: float = RATE_BYTES_S,
        client_calls: Callable[[], int] = lambda: 0,
    ) -> None:
        self._device = device
        self._rate = rate_bytes_s
        self._client_calls = client_calls
        self._position = _load(device)
        self._begun = asyncio.Event()
        self._saved_s = 0.0
        self._busy = (0.0, 0)
        device.damage.begin_scrub = self.begin

    # -- rounds --------------------------------------------------------------------------------

    def begin(self, rate_bytes_s: float | None = None) -> None:
        """Let a round begin now, at a rate that holds from now on; one under way goes on."""
        if rate_bytes_s is not None:
            self._rate = rate_bytes_s
        self._begun.set()

    async def run(self) -> None:
        """Round after round, for the life of the process."""
        while True:
            await self._rest()
            if self._device.log.failed is not None:
                return  # nothing could be put right here
            try:
                await self.round()
            except OSError as error:
                log.error("%s: scrub stopped: %s", self._device.identity.name, error)

    async def _rest(self) -> None:
        position = self._position
        if position.segment or position.offset:
            return  # one is under way
        passed_s = (self._device.env.wall_us() - position.began_us) / 1e6
        rest_s = REST_S - passed_s if 0 <= passed_s < REST_S else 0.0
        if not position.began_us:
            rest_s = REST_S * self._device.env.random()  # not all devices of a node at once
        try:
            async with asyncio.timeout(max(1.0, rest_s)):
                await self._begun.wait()
        except TimeoutError:
            pass
        self._begun.clear()

    async def round(self) -> int:
        """Read everything from the saved position on; returns how much damage was found. Raises OSError."""
        device, position = self._device, self._position
        found = device.damage.found
        if not position.segment:
            position.began_us = device.env.wall_us()
        for segment in device.log.segments:
            if segment < position.segment:
                continue
            if segment > position.segment:
                position.segment, position.offset = segment, 0
            await self._segment(segment)
        await self._index()
        position.segment = position.offset = 0
        position.rounds += 1
        device.damage.scrubbed, device.damage.scrub_rounds = 0.0, position.rounds
        await self._save()
        return device.damage.found - found

    async def _index(self) -> None:
        """Verify the rows of registers, which listings and small reads are answered from."""
        device = self._device
        start, end = rows.REGISTER_TABLE, rows.after_table(rows.REGISTER_TABLE)
        try:
            while step := list(itertools.islice(device.index.scan(start, end), INDEX_ROWS)):
                for _, value in step:
                    rows.unpack_register(value)
                start = step[-1][0] + b"\0"
                await self._pace(sum(len(value) for _, value in step))
        except Corrupt as error:
            device.damage.found += 1
            device.index_is_bad(error)

    # -- one segment ---------------------------------------------------------------------------

    async def _segment(self, segment: int) -> None:
        """Verify a segment from the position on."""
        device, position = self._device, self._position
        while True:
            scan = device.log.walk_verified(segment, position.offset)
            try:
                await self._walk(scan)
                return
            except Corrupt as error:
                if segment not in device.log.segments:
                    return  # compacted meanwhile
                log.error("%s: %s", device.identity.name, error.message)
            except OSError as error:
                self._judge(error)
            device.damage.broken_segments.add(segment)
            behind = await self._beyond(segment, position.offset)
            if behind is None:
                return
            position.offset = behind

    async def _walk(self, scan: Iterator[Scanned]) -> None:
        """Verify what a walk meets. Raises Corrupt, OSError where it cannot go on."""
        device, position = self._device, self._position
        while True:
            batch, error = await device.env.offload(lambda: _next_batch(scan))
            size = 0
            for met in batch:
                if met.place.offset != position.offset:
                    await self._between(met.place.segment, position.offset, met.place.offset)
                if not met.intact:
                    device.damage.record(met)
                size += met.place.length
                position.offset = met.place.offset + met.place.length
            await self._pace(size)
            if error is not None:
                raise error
            if not batch:
                return

    async def _between(self, segment: int, start: int, end: int) -> None:
        """A damaged blob was passed over: mark it."""
        async for known in rows_of(self._device, segment):
            if start <= known.place.offset < end:
                await self._verify(known)

    async def _beyond(self, segment: int, start: int) -> int | None:
        """Behind a place where no record can be told: the next one that the index knows and that is good.

        What the index knows in between is marked. None when nothing follows.
        """
        behind = [one async for one in rows_of(self._device, segment) if one.place.offset >= start]
        for known in sorted(behind):
            if await self._verify(known) and known.place.offset > start:
                return known.place.offset
        return None

    async def _verify(self, known: Known) -> bool:
        """Read one record alone; mark it when it is bad. Raises OSError when the disk has failed."""
        read = None
        try:
            read = await read_known(self._device, known)
        except OSError as error:
            self._judge(error)
        await self._pace(known.place.length)
        if read is None:
            mark(self._device, known)
        return read is not None

    # -- pace and place ------------------------------------------------------------------------

    def _judge(self, error: OSError) -> None:
        """A place that cannot be read is damage; a disk that cannot be read has failed. Raises OSError."""
        if not self._device.damage.read_failed(error):
            raise error

    async def _pace(self, byte_count: int) -> None:
        device = self._device
        loop = asyncio.get_running_loop()
        rate = self._rate * (BUSY_SHARE if self._clients_busy(loop.time()) else 1.0)
        device.damage.scrubbed = self._share()
        if loop.time() - self._saved_s > SAVE_S:
            self._saved_s = loop.time()
            await self._save()
        await asyncio.sleep(byte_count / rate)

    def _clients_busy(self, now_s: float) -> bool:
        before_s, before = self._busy
        calls = self._client_calls()
        if now_s - before_s > 1.0:
            self._busy = (now_s, calls)
        return calls - before > BUSY_CALLS_S * max(1.0, now_s - before_s)

    def _share(self) -> float:
        """How much of the log this round has behind it, 0 to 1."""
        log_, position = self._device.log, self._position
        sizes = {number: log_.segment_bytes(number) for number in log_.segments}
        behind = sum(size for number, size in sizes.items() if number < position.segment)
        return min(1.0, (behind + position.offset) / max(1, sum(sizes.values())))

    async def _save(self) -> None:
        data = msgspec.json.encode(self._position)
        try:
            await self._device.env.offload(lambda: self._device.disk.write_file(POSITION, data))
        except OSError as error:
            log.debug("%s: scrub position: %s", self._device.identity.name, error)


def _load(device: Device) -> Position:
    try:
        stored = device.disk.read_file(POSITION)
        position = Position() if stored is None else msgspec.json.decode(stored, type=Position)
    except (OSError, msgspec.MsgspecError):
        position = Position()
    device.damage.scrub_rounds = position.rounds
    return position


def _next_batch(scan: Iterator[Scanned]) -> tuple[list[Scanned], Exception | None]:
    """Some more records, and why there are no more behind them, if something is wrong."""
    batch: list[Scanned] = []
    size = 0
    try:
        for met in itertools.islice(scan, BATCH_RECORDS):
            batch.append(met)
            size += met.place.length
            if size > BATCH_BYTES:
                break
    except (Corrupt, OSError) as error:
        return batch, error
    return batch, None
