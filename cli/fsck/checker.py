"""The check of a whole cluster through the links to its devices, running or not.

Ranges are compared replica by replica, with the statistics they keep; every record's blobs are looked up among
the pieces that devices list; partition tables are counted. In a cluster that is in use things move: what looks
wrong is looked at again, a few times, before it is a finding.

Memory: some 300 bytes for each blob, and the names of one range at a time.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable

import msgspec

from cli.fsck.findings import Finding, Report
from cli.fsck.pieces import Lack, Pieces, lack_of
from cli.fsck.ranges import Held, doubtful, held_of, lagging, miscounted
from core import checksum
from core.errors import Corrupt, RingstackError, Unavailable
from core.frame import Frame
from core.stamp import ZERO
from objectd import rows, wire
from proxy.repair.peers import answer, ask
from proxy.store import envelope, names
from proxy.store.cluster import Cluster, Target
from proxy.store.record import Extent

PAGE = 2_000
TRIES = 4
AGAIN_S = 0.7
AT_ONCE = 16  # reads at a time
RANGES_AT_ONCE = 8
SAMPLE = 500  # names of a range that are looked at one by one

Progress = Callable[[str, int, int], None]  # what, done, of how many


class Checker:
    """One check. `progress` is told how far it is."""

    def __init__(
        self,
        cluster: Cluster,
        progress: Progress,
        *,
        deep: bool,
        down: bool = False,
        again_s: float = AGAIN_S,
    ) -> None:
        self._cluster = cluster
        self._progress = progress
        self._deep = deep
        self._down = down  # devices that only this process serves take no writes and do not change
        self._again_s = 0.0 if down else again_s
        self._targets: dict[int, Target] = {}
        self._names = {device.id: device.name for device in cluster.epoch.devices}
        self._ranges: dict[bytes, set[int]] = defaultdict(set)
        self._speakers: dict[bytes, int] = {}
        self._pieces: dict[bytes, Pieces] = {}
        self._uncertain: dict[tuple[bytes, bytes], wire.NamingRow] = {}
        self._doubted: list[wire.NamingRow] = []
        self._swept = 0  # the last pass of the sweep that was finished
        self.report = Report()

    async def run(self) -> Report:
        """Check everything."""
        await self._devices()
        await self._list_ranges()
        await self._compare_ranges()
        for target in self._targets.values():
            await self._guarded(target, self._list_pieces(target))
        await self._check_records()
        self._judge_orphans()
        if self._deep:
            await self._read_everything()
        looked = self.report.looked
        looked["blobs"] = len(self._pieces)
        looked["pieces"] = sum(len(one.places) for one in self._pieces.values())
        return self.report

    async def _guarded(self, target: Target, work) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """Note it when a device stops answering."""
        try:
            await work
        except (Unavailable, Corrupt) as error:
            self.report.find("away", f"{self._names[target.device]}: {error.message}")

    # -- devices -------------------------------------------------------------------------------

    async def _devices(self) -> None:
        epoch = self._cluster.epoch.number
        for target in self._cluster.targets:
            name = self._names[target.device]
            try:
                frame = await answer(target.link, wire.GENERATION, target.device, b"")
                body = await ask(target.link, wire.STATUS, target.device, b"")
            except Unavailable:
                self.report.find("away", f"{name} does not answer")
                continue
            self._targets[target.device] = target
            state = wire.decode_generation(frame.head)
            # a pass that goes on, or was put off, has not dropped anything yet
            swept = state.number - state.whole
            self._swept = max(self._swept, swept)
            if frame.epoch != epoch:
                self.report.notes.append(f"{name} obeys ring epoch {frame.epoch}, not {epoch}")
            for status in wire.decode_status(body):
                if status.device == target.device:
                    self._judge_status(name, status)
        self.report.looked["devices"] = len(self._targets)
        if self._cluster.epoch.joint:
            self.report.notes.append(f"the ring is changing: epoch {epoch} is a joint one")

    def _judge_status(self, name: str, status: wire.DeviceStatus) -> None:
        if not (self._down or status.writable):
            self.report.find("read-only", f"{name} takes no writes")
        if status.damaged:
            self.report.find("bad", f"{name}: {status.damaged} records that do not verify")

    # -- ranges --------------------------------------------------------------------------------

    async def _list_ranges(self) -> None:
        for target in self._targets.values():
            await self._guarded(target, self._ranges_of(target))

    async def _ranges_of(self, target: Target) -> None:
        after = b""
        while True:
            head = wire.encode(wire.RangesCall(after, PAGE))
            page = wire.decode_ranges(await ask(target.link, wire.RANGES, target.device, head))
            for row in page:
                self._ranges[row.range_id].add(target.device)
            if len(page) < PAGE:
                return
            after = page[-1].range_id

    async def _compare_ranges(self) -> None:
        total = len(self._ranges)
        self.report.looked["ranges"] = total
        wanted = sorted(self._ranges)
        for start in range(0, total, RANGES_AT_ONCE):
            self._progress("index ranges", start, total)
            batch = wanted[start : start + RANGES_AT_ONCE]
            for found in await asyncio.gather(*(self._compared(one) for one in batch)):
                for finding in found:
                    self.report.find(*finding)
        self._progress("index ranges", total, total)

    async def _compared(self, range_id: bytes) -> list[Finding]:
        """Findings about one range that do not go away."""
        for attempt in range(TRIES):
            found = await self._compare(range_id)
            if not found:
                break
            if attempt < TRIES - 1:
                await asyncio.sleep(self._again_s)
        return found

    async def _compare(self, range_id: bytes) -> list[Finding]:
        """Findings about one range, as it looks now."""
        targets, majority, _ = self._cluster.index_replicas(range_id)
        replicas: dict[int, Held] = {}
        found: list[Finding] = []
        answers = await asyncio.gather(
            *(self._held(target, range_id) for target in targets), return_exceptions=True
        )
        for position, held in enumerate(answers):
            name = self._names[targets[position].device]
            if isinstance(held, RingstackError):
                if targets[position].device in self._targets:  # else that was told already
                    found.append(Finding("away", f"{name}: {held.message}"))
            elif isinstance(held, BaseException):
                raise held
            else:
                replicas[position] = held
                found += miscounted(name, range_id, held)
        doubted = doubtful(replicas, majority.total)
        self._speakers[range_id] = -1 if doubted or not replicas else targets[min(replicas)].device
        names_of = {p: self._names[target.device] for p, target in enumerate(targets)}
        ballots = await self._stuck(range_id, doubted)
        found += lagging(range_id, ballots, names_of, majority)
        found += await self._strays(range_id, {target.device for target in targets})
        if not found:
            counts = [len(held.ballots) for held in replicas.values()]
            self.report.looked["registers"] += max(counts, default=0)
        return found

    async def _stuck(self, range_id: bytes, doubted: list[str]) -> dict[str, dict[int, bytes]]:
        """What each replica holds of names on which they go on to differ.

        Where there are very many, some are looked at: when those are all stuck, so are the others.
        """
        ballots: dict[str, dict[int, bytes]] = {}
        looked_at = doubted[:SAMPLE]
        for attempt in range(TRIES):
            for start in range(0, len(looked_at), AT_ONCE):
                batch = looked_at[start : start + AT_ONCE]
                told = await asyncio.gather(*(self._ballots(range_id, name) for name in batch))
                ballots.update(zip(batch, told, strict=True))
            looked_at = [name for name in looked_at if len(set(ballots[name].values())) > 1]
            if not looked_at:
                return {}
            if attempt < TRIES - 1:
                await asyncio.sleep(self._again_s)
        stuck = looked_at
        if len(stuck) == SAMPLE:
            for name in doubted[SAMPLE:]:
                ballots[name] = await self._ballots(range_id, name)
            stuck = doubted
        return {name: ballots[name] for name in stuck}

    async def _ballots(self, range_id: bytes, name: str) -> dict[int, bytes]:
        """By the replicas' positions; a replica that is away or has lost it holds nothing."""
        call = wire.Read(range_id, name.encode(), wire.ANY_STAGE, wire.WANT_BALLOT, wire.ANY_CONFIG)
        head = wire.encode(call)
        targets = self._cluster.index_replicas(range_id).targets
        frames = await asyncio.gather(
            *(target.link.ask(wire.READ, target.device, head) for target in targets)
        )
        return {
            position: wire.decode_held(frame.head).ballot if frame.status == wire.OK else ZERO
            for position, frame in enumerate(frames)
        }

    async def _strays(self, range_id: bytes, homes: set[int]) -> list[Finding]:
        found = []
        for device in (self._ranges[range_id] - homes) & self._targets.keys():
            stats = await self._stats(self._targets[device], range_id)
            if stats.held and not self._cluster.epoch.joint:
                text = (
                    f"{self._names[device]} holds {stats.held} registers of range {range_id.hex()}"
                )
                found.append(Finding("stray", text))
        return found

    async def _held(self, target: Target, range_id: bytes) -> Held:
        """What a replica lists, with statistics of the same moment. Raises Unavailable."""
        if target.device not in self._targets:
            raise Unavailable("Away", "it does not answer")
        for _ in range(TRIES):
            before = await self._stats(target, range_id)
            listed = [row async for row in self._rows(target, range_id)] if before.held else []
            after = await self._stats(target, range_id)
            if before == after:
                break
        return held_of(listed, before)

    async def _stats(self, target: Target, range_id: bytes) -> wire.RangeStats:
        head = wire.encode(wire.StatsCall([range_id], [wire.ANY_CONFIG]))
        return wire.decode_stats(await ask(target.link, wire.STATS, target.device, head))[0]

    async def _rows(self, target: Target, range_id: bytes) -> AsyncIterator[wire.Row[object]]:
        marker = b""
        while True:
            call = wire.ListCall(
                range_id,
                wire.ANY_STAGE,
                wire.ANY_CONFIG,
                b"",
                b"",
                marker,
                b"",
                PAGE,
                reverse=False,
                dead=True,
            )
            body = await ask(target.link, wire.LIST, target.device, wire.encode(call))
            page: wire.Page[object] = wire.page_decoder(object).decode(body)
            for row in page.rows:
                yield row
            if not page.truncated:
                return
            marker = page.rows[-1].name.encode()

    # -- pieces --------------------------------------------------------------------------------

    async def _list_pieces(self, target: Target) -> None:
        """Note every piece of a device, and count its partitions."""
        for attempt in range(TRIES):
            before = await self._tallies(target)
            counted, listed = await self._count_pieces(target)
            if await self._tallies(target) == before or attempt == TRIES - 1:
                break
        for blob, number, stamp in listed:
            one = self._pieces.setdefault(blob, Pieces([]))
            one.places.append((target.device, number))
            one.stamp = max(one.stamp, stamp)
        if counted != before and await self._tallies(target) == before:
            wrong = sum(
                counted.get(key) != before.get(key) for key in counted.keys() | before.keys()
            )
            self.report.find("count", f"{self._names[target.device]}: {wrong} partition tables")

    async def _tallies(self, target: Target) -> dict[bytes, tuple[int, int, bytes]]:
        found: dict[bytes, tuple[int, int, bytes]] = {}
        after = b""
        while True:
            head = wire.encode(wire.PartitionsCall(after, PAGE))
            body = await ask(target.link, wire.PARTITIONS, target.device, head)
            page = wire.decode_pieces(body)
            for row in page:
                found[row.key] = (row.pieces, row.size_bytes, row.digest)
            if len(page) < PAGE:
                return found
            after = page[-1].key

    async def _count_pieces(
        self, target: Target
    ) -> tuple[dict[bytes, tuple[int, int, bytes]], list[tuple[bytes, int, int]]]:
        counted: dict[bytes, tuple[int, int, bytes]] = {}
        listed: list[tuple[bytes, int, int]] = []
        after = b""
        while True:
            head = wire.encode(wire.BlobsCall(after, PAGE))
            page = wire.decode_blobs(await ask(target.link, wire.BLOBS, target.device, head))
            for row in page:
                partition = self._cluster.epoch.partition(row.blob)
                key = wire.piece_partition(row.policy, partition, row.fragment)
                count, size, digest = counted.get(key, (0, 0, bytes(16)))
                digest = rows.fold(digest, rows.piece_digest(row.blob))
                counted[key] = (count + 1, size + row.size, digest)
                listed.append((row.blob, row.fragment, row.stamp))
            self._progress(f"pieces of {self._names[target.device]}", len(listed), 0)
            if len(page) < PAGE:
                return counted, listed
            after = page[-1].blob + bytes((page[-1].fragment,))

    # -- records and their blobs ---------------------------------------------------------------

    async def _check_records(self) -> None:
        for target in self._targets.values():
            await self._guarded(target, self._records_of(target))
        for row in self._uncertain.values():
            self._check_record(row)
        for attempt in range(TRIES):
            if not self._doubted:
                return
            if attempt:
                await asyncio.sleep(self._again_s)
            doubted, self._doubted = self._doubted, []
            for row in doubted:
                await self._look_again(row, last=attempt == TRIES - 1)

    async def _records_of(self, target: Target) -> None:
        after = b""
        while True:
            head = wire.encode(wire.NamingCall(0, False, after))
            body = await ask(target.link, wire.NAMING, target.device, head)
            page = wire.decode_naming(body)
            for row in page.rows:
                speaker = self._speakers.get(row.range_id, -1)
                if speaker == target.device:
                    self._check_record(row)
                elif speaker < 0:
                    key = (row.range_id, row.name)
                    known = self._uncertain.get(key)
                    if known is None or row.ballot > known.ballot:
                        self._uncertain[key] = row
            self._progress("records", self.report.looked["records"], 0)
            after = page.after
            if not after:
                return

    def _check_record(self, row: wire.NamingRow) -> None:
        """Mark what a record names; doubt it when a blob of it lacks pieces."""
        self.report.looked["records"] += 1
        whole = True
        for extent in self._manifest(row):
            pieces = self._pieces.get(extent.blob)
            if pieces is not None:
                pieces.named = True
            whole = whole and self._lack(extent, pieces) is None
        if not whole:
            self._doubted.append(row)

    def _manifest(self, row: wire.NamingRow) -> tuple[Extent, ...]:
        try:
            return names.decode_object(envelope.unseal(row.meta).record).manifest
        except msgspec.MsgspecError as error:
            self.report.find("bad", f"record {row.name!r} cannot be understood: {error}")
            return ()

    def _lack(self, extent: Extent, pieces: Pieces | None) -> Lack | None:
        policy = self._cluster.policies[extent.policy]
        homes = {
            position: self._names[target.device]
            for position, target in enumerate(self._cluster.blob_targets(extent.blob, policy))
        }
        return lack_of(extent, pieces, policy, homes)

    async def _look_again(self, row: wire.NamingRow, *, last: bool) -> None:
        """A record whose blobs lacked pieces, as it and they are now."""
        now = await self._newest(row)
        if now is None:
            return
        for extent in {extent.blob: extent for extent in self._manifest(now)}.values():
            pieces = await self._places(extent)
            lack = self._lack(extent, pieces)
            if lack is None:
                continue
            if not last:
                self._doubted.append(now)
                return
            self.report.find(*lack.finding(repr(row.name.decode()), extent.blob))

    async def _newest(self, row: wire.NamingRow) -> wire.NamingRow | None:
        best: wire.NamingRow | None = None
        top = b""
        call = wire.Read(row.range_id, row.name, wire.ANY_STAGE, wire.WANT_META, wire.ANY_CONFIG)
        for target in self._cluster.index_replicas(row.range_id).targets:
            if target.device not in self._targets:
                continue
            frame = await target.link.ask(wire.READ, target.device, wire.encode(call))
            if frame.status != wire.OK:
                continue
            held = wire.decode_held(frame.head)
            if held.ballot > top:
                top = held.ballot
                start = held.summary_bytes
                meta = bytes(frame.body[start : start + held.meta_bytes])
                live = held.flags & wire.NAMES
                best = wire.NamingRow(row.range_id, row.name, top, meta) if live else None
        return best

    async def _places(self, extent: Extent) -> Pieces:
        """Where the pieces of a blob are now."""
        policy = self._cluster.policies[extent.policy]
        numbers = sorted({*range(policy.width), 64})
        found = Pieces([])
        head = wire.encode(wire.HaveCall([(extent.blob, number) for number in numbers]))
        for target in self._targets.values():
            body = await ask(target.link, wire.HAVE, target.device, head)
            for number, held in zip(numbers, wire.decode_have(body), strict=True):
                if held:
                    found.places.append((target.device, number))
        return found

    def _judge_orphans(self) -> None:
        """Blobs that nothing names are the sweep's work; those that it should have dropped are findings."""
        young = 0
        for blob, one in self._pieces.items():
            if one.named:
                continue
            if one.stamp < self._swept - 1:
                where = ", ".join(sorted({self._names[device] for device, _ in one.places}))
                self.report.find("orphan", f"blob {blob.hex()} on {where}")
            else:
                young += 1
        if young:
            self.report.notes.append(f"{young} blobs are not named yet, or wait for the next sweep")

    # -- every byte ----------------------------------------------------------------------------

    async def _read_everything(self) -> None:
        by_device: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
        for blob, one in self._pieces.items():
            for device, number in one.places:
                by_device[device].append((blob, number))
        total = sum(map(len, by_device.values()))
        done = 0
        for device, wanted in by_device.items():
            target = self._targets[device]
            for start in range(0, len(wanted), AT_ONCE):
                batch = wanted[start : start + AT_ONCE]
                reads = [self._read_piece(target, blob, number) for blob, number in batch]
                await asyncio.gather(*reads)
                done += len(batch)
                self._progress("reading pieces", done, total)
        for target in self._targets.values():
            await self._guarded(target, self._read_registers(target))

    async def _read_piece(self, target: Target, blob: bytes, number: int) -> None:
        head = wire.encode(wire.GetBlob(blob, number, 0, 1 << 40))
        frame = await target.bulk.ask(wire.GET_BLOB, target.device, head)
        self.report.looked["bytes"] += len(frame.body)
        if frame.status == wire.ABSENT:
            return  # dropped meanwhile
        if frame.status != wire.OK or not _verifies(frame):
            name = self._names[target.device]
            self.report.find("bad", f"{name}: piece {number} of blob {blob.hex()}")

    async def _read_registers(self, target: Target) -> None:
        mine = [one for one, devices in self._ranges.items() if target.device in devices]
        for number, range_id in enumerate(mine):
            self._progress(f"reading registers of {self._names[target.device]}", number, len(mine))
            batch: list[str] = []
            async for row in self._rows(target, range_id):
                batch.append(row.name)
                if len(batch) == AT_ONCE * 4:
                    await self._read_batch(target, range_id, batch)
                    batch = []
            await self._read_batch(target, range_id, batch)

    async def _read_batch(self, target: Target, range_id: bytes, batch: list[str]) -> None:
        await asyncio.gather(*(self._read_register(target, range_id, name) for name in batch))

    async def _read_register(self, target: Target, range_id: bytes, name: str) -> None:
        call = wire.Read(range_id, name.encode(), wire.ANY_STAGE, wire.WANT_ALL, wire.ANY_CONFIG)
        frame = await target.link.ask(wire.READ, target.device, wire.encode(call))
        self.report.looked["bytes"] += len(frame.body)
        good = frame.status == wire.OK
        if good:
            held = wire.decode_held(frame.head)
            good = not held.meta_bytes or wire.digest_of(frame.body) == held.digest
        if not good:
            where = f"{self._names[target.device]}: register {name!r} of range {range_id.hex()}"
            self.report.find("bad", where)


def _verifies(frame: Frame) -> bool:
    try:
        told = wire.decode_blob_bytes(frame.head)
    except msgspec.MsgspecError:
        return False
    return checksum.sums_match(frame.body, told.sums) and told.size == len(frame.body)
