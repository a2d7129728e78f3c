"""Listings and statistics of index ranges, confirmed by a majority.

The usual page costs one scan with rows and one that returns only a digest; equal digests mean that a
majority hold exactly these rows. When replicas differ, their rows (tombstones included) are merged by
highest ballot, and every row that is not on a majority is settled by a register read, so that a name
acknowledged before the listing began is shown and one deleted before is not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

import msgspec

from core.errors import Moved, Stale, Unavailable
from core.frame import Frame
from core.stamp import stage_of
from objectd import wire
from proxy.store import propose
from proxy.store.cluster import Cluster, Target
from proxy.store.majority import Majority
from proxy.store.record import ListQuery
from proxy.store.registers import HEDGE_S, Register, Registers
from proxy.store.round import Replies, Round, preferred

LIST_TIMEOUT_S = 10.0
STATS_TIMEOUT_S = 1.0
MERGE_WAIT_S = 0.5
MOVED_TRIES = 5
MERGE_ROWS = 1000  # rows fetched at a time while replicas differ
SETTLE_AT_ONCE = 16
KEPT_ROWS_MIN = 50  # shorter pages are not worth remembering
KEPT_ROWS_MAX = 30_000  # of all remembered pages


S = TypeVar("S")


class Totals(NamedTuple):
    """Live registers of a range and the sum of their sizes, bytes."""

    live_count: int
    size_bytes: int


class Sized(msgspec.Struct, array_like=True, frozen=True):
    """The first fields of any summary: a time, and for objects the size."""

    modified_us: int
    size: int


class ListedRow(NamedTuple, Generic[S]):
    """A name and its summary, or a common prefix with None."""

    name: str
    summary: S | None


class Listed(NamedTuple, Generic[S]):
    """Rows of a page, and whether more follow. Shared between listings: read only.

    `memo` is for what is made of an agreed page (its rendered forms), so that it is made once.
    """

    rows: Sequence[ListedRow[S] | wire.Row[S]]
    truncated: bool
    digest: bytes = b""
    memo: dict[Any, Any] | None = None


class Ranges:
    """Listing and statistics client of one process."""

    def __init__(self, cluster: Cluster, registers: Registers) -> None:
        self._cluster = cluster
        self._registers = registers
        self._turn = 0
        self._pages: dict[bytes, Listed[Any]] = {}

    # -- listing -------------------------------------------------------------------------------

    async def page(
        self, range_id: bytes, stage: int, query: ListQuery, summary: type[S]
    ) -> Listed[S]:
        """One page with summaries of the given type.

        Raises Stale when the range was fenced, Unavailable without a majority.
        """
        if query.limit <= 0:
            return Listed([], truncated=False)
        call = wire.ListCall(
            range_id,
            stage,
            0,
            query.prefix.encode(),
            query.delimiter.encode(),
            query.marker.encode(),
            query.end_marker.encode(),
            query.limit,
            query.reverse,
        )
        for _ in range(MOVED_TRIES):
            try:
                return await self._page(self._placed(call), summary)
            except Moved as moved:
                await self._cluster.learn(moved.epoch)
        raise Unavailable("Moving", "the range keeps moving; try again")

    def _placed(self, call: wire.ListCall) -> wire.ListCall:
        """The call with the config of the replicas that the range has now."""
        config = self._cluster.index_replicas(call.range_id).config
        return msgspec.structs.replace(call, config=config)

    async def _page(self, call: wire.ListCall, summary: type[S]) -> Listed[S]:
        key = wire.encode(call)
        known = self._pages.get(key)
        agreed = await self._agreed_page(call, summary, b"" if known is None else known.digest)
        if agreed is None:
            return await _Merge(self, call, summary).run()
        if known is not None and agreed.digest == known.digest:
            return cast("Listed[S]", known)
        listed = Listed(agreed.rows, agreed.truncated, agreed.digest, {})
        self._keep(key, listed)
        return listed

    def _keep(self, key: bytes, listed: Listed[Any]) -> None:
        """Remember a page: the next listing then asks only whether it is still the same."""
        self._pages.pop(key, None)
        if len(listed.rows) < KEPT_ROWS_MIN:
            return
        self._pages[key] = listed
        while sum(len(page.rows) for page in self._pages.values()) > KEPT_ROWS_MAX:
            del self._pages[next(iter(self._pages))]

    async def _agreed_page(
        self, call: wire.ListCall, summary: type[S], known: bytes
    ) -> wire.Page[S] | None:
        """The page if a majority hold exactly the same, else None; without rows when it is the known one.

        Of the replicas asked first one brings rows, the others confirm by digest. Whoever is asked later
        brings rows too: the first may be the one that does not answer.
        """
        targets, majority, _ = self._cluster.index_replicas(call.range_id)
        self._turn += 1
        first = preferred(targets, majority, self._turn)
        full = wire.encode(msgspec.structs.replace(call, known=known))
        digest = wire.encode(msgspec.structs.replace(call, digest_only=True))
        confirming = frozenset(first[1:])
        heads = [digest if p in confirming else full for p in range(len(targets))]

        def enough(replies: Replies) -> bool:
            return majority.granted(replies) and any(
                frame.status == wire.OK and position not in confirming
                for position, frame in replies.items()
            )

        replies = await Round(targets, wire.LIST, heads.__getitem__, enough=enough).run(
            first=first, hedge_s=HEDGE_S * 4, timeout_s=LIST_TIMEOUT_S
        )
        raise_if_stale(replies)
        pages = decoded_pages(replies, summary)
        for position, page in pages.items():
            if position not in confirming and majority.of(
                [p for p, other in pages.items() if other.digest == page.digest]
            ):
                return page
        return None

    async def pages_to_merge(
        self, call: wire.ListCall, summary: type[S]
    ) -> tuple[Mapping[int, wire.Page[S]], Majority]:
        """The same page from every replica that answers soon, a majority at least, and what a majority is.

        The third answer is worth waiting for: what two of three hold needs no settling.
        """
        targets, majority, _ = self._cluster.index_replicas(call.range_id)
        count = len(targets)
        head = wire.encode(call)
        replies: Mapping[int, Frame] = {}
        for timeout_s in (MERGE_WAIT_S, LIST_TIMEOUT_S):
            replies = await Round(
                targets,
                wire.LIST,
                lambda _: head,
                enough=_never,
            ).run(timeout_s=timeout_s)
            raise_if_stale(replies)
            if majority.granted(replies):
                return decoded_pages(replies, summary), majority
            if len(replies) == count:
                break
        raise Unavailable("NoMajority", "no majority of the index replicas answers")

    async def settle(
        self, call: wire.ListCall, row: wire.Row[S], summary: type[S]
    ) -> ListedRow[S] | None:
        """The confirmed state of a row on which replicas differ; None when it is not there.

        Where a replica has lost what it held, the record is written to all of them again.
        """
        register = Register(call.range_id, row.name.encode(), call.stage)
        if _damaged(row):
            await self._registers.renew(register)
        stored = await self._registers.read(register, inline=False)
        if not stored.flags & wire.LIVE:
            return None
        return ListedRow(row.name, msgspec.msgpack.decode(stored.summary, type=summary))

    # -- statistics ----------------------------------------------------------------------------

    async def stats(self, wanted: Sequence[tuple[bytes, int]]) -> list[Totals]:
        """Statistics of (range id, stage) pairs, in order.

        Replicas that agree on a range's digest agree on its statistics. Where no majority does, the range
        is counted row by row, as a listing would show it.
        """
        by_device: dict[int, tuple[Target, wire.StatsCall]] = {}
        for range_id, _ in wanted:
            targets, _, config = self._cluster.index_replicas(range_id)
            for target in targets:
                _, call = by_device.setdefault(target.device, (target, wire.StatsCall([], [])))
                call.range_ids.append(range_id)
                call.configs.append(config)
        found: dict[bytes, dict[int, wire.RangeStats]] = {range_id: {} for range_id, _ in wanted}

        async def ask(target: Target, call: wire.StatsCall) -> None:
            try:
                async with asyncio.timeout(STATS_TIMEOUT_S):
                    frame = await target.link.ask(wire.STATS, target.device, wire.encode(call))
            except TimeoutError:
                return
            if frame.status == wire.OK:
                rows = wire.decode_stats(frame.body)
                for range_id, row in zip(call.range_ids, rows, strict=True):
                    found[range_id][target.device] = row

        await asyncio.gather(*(ask(target, call) for target, call in by_device.values()))
        return [
            self._agreed(range_id, found[range_id]) or await self._count(range_id, stage)
            for range_id, stage in wanted
        ]

    def _agreed(self, range_id: bytes, rows: Mapping[int, wire.RangeStats]) -> Totals | None:
        targets, majority, _ = self._cluster.index_replicas(range_id)
        digests = {
            position: rows[target.device].digest
            for position, target in enumerate(targets)
            if target.device in rows
        }
        for row in rows.values():
            if majority.of([p for p, digest in digests.items() if digest == row.digest]):
                return Totals(row.count, row.size_bytes)
        return None

    async def _count(self, range_id: bytes, stage: int) -> Totals:
        """Count a range on which replicas differ."""
        for _ in range(MOVED_TRIES):
            call = wire.ListCall(range_id, stage, 0, b"", b"", b"", b"", MERGE_ROWS, reverse=False)
            count = size = 0
            try:
                async for rows in _Merge(self, self._placed(call), Sized).chunks():
                    count += len(rows)
                    size += sum(row.summary.size for row in rows if row.summary is not None)
                return Totals(count, size)
            except Moved as moved:
                await self._cluster.learn(moved.epoch)
        raise Unavailable("Moving", "the range keeps moving; try again")


class Replicas(Protocol[S]):
    """What a merge asks of the replicas."""

    async def pages_to_merge(
        self, call: wire.ListCall, summary: type[S]
    ) -> tuple[Mapping[int, wire.Page[S]], Majority]:
        """The same page from a majority at least, and what a majority is."""
        ...

    async def settle(
        self, call: wire.ListCall, row: wire.Row[S], summary: type[S]
    ) -> ListedRow[S] | None:
        """The confirmed state of a row; None when it is not there."""
        ...


class _Merge(Generic[S]):
    """A page made of replicas that differ: merge, settle, then apply delimiter and limit here."""

    def __init__(
        self,
        ranges: Replicas[S],
        call: wire.ListCall,
        summary: type[S],
        *,
        rows_at_once: int = MERGE_ROWS,
    ) -> None:
        self._ranges = ranges
        self._call = call
        self._summary = summary
        self._rows_at_once = rows_at_once
        self._rows: list[ListedRow[S]] = []
        self._jump: bytes | None = None
        self._lost: dict[str, wire.Row[S]] = {}

    async def run(self) -> Listed[S]:
        """The page."""
        async with contextlib.aclosing(self.chunks()) as chunks:
            async for rows in chunks:
                self._jump = self._take(rows)
                if len(self._rows) > self._call.limit:
                    return Listed(self._rows[: self._call.limit], truncated=True)
        return Listed(self._rows, truncated=False)

    async def chunks(self) -> AsyncGenerator[list[ListedRow[S]], None]:
        """Settled live rows, a chunk at a time, to the end of the range or where `_jump` leads."""
        marker = self._call.marker
        while True:
            chunk = msgspec.structs.replace(
                self._call, delimiter=b"", marker=marker, limit=self._rows_at_once, dead=True
            )
            pages, majority = await self._ranges.pages_to_merge(chunk, self._summary)
            merged, ended = self._merge(pages)
            yield await self._settle_all(merged, pages, majority)
            jump = self._take_jump()
            if jump is None and ended:
                return
            marker = jump or merged[-1].name.encode()

    def _take_jump(self) -> bytes | None:
        jump, self._jump = self._jump, None
        return jump

    def _merge(self, pages: Mapping[int, wire.Page[S]]) -> tuple[list[wire.Row[S]], bool]:
        """Rows of all replicas by highest ballot, up to where the shortest truncated page ends."""
        reverse = self._call.reverse
        best: dict[str, wire.Row[S]] = {}
        self._lost = {
            row.name: row for page in pages.values() for row in page.rows if _damaged(row)
        }
        ends = [page.rows[-1].name.encode() for page in pages.values() if page.truncated]
        for page in pages.values():
            for row in page.rows:
                known = best.get(row.name)
                # of equal ballots, one that still has its summary (a damaged record has none)
                if known is None or (row.ballot, row.summary is not None) > (
                    known.ballot,
                    known.summary is not None,
                ):
                    best[row.name] = row
        rows = sorted(best.values(), key=lambda row: row.name.encode(), reverse=reverse)
        if not ends:
            return rows, True
        end = max(ends) if reverse else min(ends)
        if reverse:
            return [row for row in rows if row.name.encode() >= end], False
        return [row for row in rows if row.name.encode() <= end], False

    async def _settle_all(
        self, rows: list[wire.Row[S]], pages: Mapping[int, wire.Page[S]], majority: Majority
    ) -> list[ListedRow[S]]:
        """Live rows; those that no majority holds alike are confirmed by a read."""
        held: dict[tuple[str, bytes], list[int]] = {}
        for position, page in pages.items():
            for row in page.rows:
                held.setdefault((row.name, row.ballot), []).append(position)
        gate = asyncio.Semaphore(SETTLE_AT_ONCE)

        async def state(row: wire.Row[S]) -> ListedRow[S] | None:
            lost = self._lost.get(row.name)
            if lost is None and majority.of(held[row.name, row.ballot]):
                return ListedRow(row.name, row.summary) if row.flags & wire.LIVE else None
            async with gate:
                return await self._ranges.settle(self._call, lost or row, self._summary)

        states = await asyncio.gather(*(state(row) for row in rows))
        return [row for row in states if row is not None]

    def _take(self, rows: list[ListedRow[S]]) -> bytes | None:
        """Add rows, collapsing common prefixes; returns a marker to jump to after a collapse."""
        call = self._call
        delimiter, prefix = call.delimiter.decode(), call.prefix.decode()
        for row in rows:
            cut = row.name.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                self._rows.append(row)
            else:
                common = row.name[: cut + len(delimiter)]
                told = not call.reverse and common == call.marker.decode()
                if not told and common != self._last():
                    self._rows.append(ListedRow(common, None))
                if row is not rows[-1]:
                    return self._past(common)
            if len(self._rows) > call.limit:
                return None
        return None

    def _last(self) -> str | None:
        """The common prefix that was added last, if the last row is one."""
        last = self._rows[-1] if self._rows else None
        return last.name if last is not None and last.summary is None else None

    def _past(self, common: str) -> bytes:
        """A marker beyond every name that begins with `common`, in the direction of travel."""
        if self._call.reverse:
            return common.encode()
        return common.encode() + "\U0010ffff".encode() * 256


def _damaged(row: wire.Row[S]) -> bool:
    """The replica knows that the name is there, and has lost what it is."""
    return bool(row.flags & wire.LIVE) and row.summary is None


def decoded_pages(replies: Mapping[int, Frame], summary: type[S]) -> dict[int, wire.Page[S]]:
    """The pages among the answers."""
    decode = wire.page_decoder(cast("type", summary)).decode
    return {
        position: decode(frame.body)
        for position, frame in replies.items()
        if frame.status == wire.OK
    }


def _never(replies: Replies) -> bool:
    """Everybody's answer is wanted."""
    del replies
    return False


def raise_if_stale(replies: Mapping[int, Frame]) -> None:
    """Raise Moved or Stale when a replica knows a newer ring or has seen a later stage of the range."""
    propose.check_placed(replies)
    stages = [
        stage_of(wire.decode_refusal(frame.head).ballot)
        for frame in replies.values()
        if frame.status == wire.STALE
    ]
    if stages:
        raise Stale(max(stages))
