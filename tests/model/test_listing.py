"""Pages of one replica, and pages merged from replicas that differ, are those of a sorted list."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from core.stamp import make_ballot
from objectd import rows, wire
from objectd.listing import Pager, list_page
from objectd.memindex import MemoryIndex
from objectd.record import Place
from objectd.rows import RegisterRow
from proxy.store.majority import Majority, plain
from proxy.store.ranges import ListedRow, _Merge
from proxy.store.record import ListQuery
from tests.model.memory_store import select
from tests.virtual import World, run

RANGE = b"r" * 16
OTHER = b"s" * 16
decode = wire.page_decoder(str).decode

STEMS = ("", "a", "a/", "b", "é", "/", "x" * 438, "x" * 440, "x" * 441, "long/" * 90)


@st.composite
def names(draw: st.DrawFn) -> str:
    """Short names that collide, and long ones that share what the index cuts off."""
    stem = draw(st.integers(0, len(STEMS) - 1))
    return STEMS[stem] + draw(st.text("ab/é\U0010ffff", min_size=not STEMS[stem], max_size=5))


@st.composite
def queries(draw: st.DrawFn) -> ListQuery:
    low, high = sorted((draw(st.one_of(st.just(""), names())) for _ in range(2)), key=str.encode)
    reverse = draw(st.booleans())
    return ListQuery(
        draw(st.sampled_from(("", "", "a", "a/", "x" * 430, "x" * 441, "long/long/", "é"))),
        draw(st.sampled_from(("", "/", "a", "//", "é", "\U0010ffff"))),
        high if reverse else low,
        (low if reverse else high) if draw(st.booleans()) else "",
        draw(st.sampled_from((1, 2, 5, 1000))),
        reverse=reverse,
    )


def call_of(query: ListQuery, **options: bool) -> wire.ListCall:
    return wire.ListCall(
        RANGE,
        0,
        0,
        query.prefix.encode(),
        query.delimiter.encode(),
        query.marker.encode(),
        query.end_marker.encode(),
        query.limit,
        query.reverse,
        **options,
    )


def put(index: MemoryIndex, name: str, version: int, *, live: bool, damaged: bool = False) -> None:
    """A register row as a device would make it."""
    raw = name.encode()
    flags = (wire.LIVE if live else 0) | (rows.DAMAGED if damaged else 0)
    summary = msgspec.msgpack.encode(f"{name} {version}") if live and not damaged else b""
    row = RegisterRow(
        make_ballot(0, version, 1),
        flags,
        1,
        0,
        bytes(16),
        Place(1, 0, 1),
        len(summary),
        0,
        0,
        raw if len(raw) > rows.NAME_CUT_BYTES else b"",
        summary,
        b"",
    )
    index.put(rows.register_key(RANGE, raw), rows.pack_register(row))


def neighbours(index: MemoryIndex) -> None:
    """Rows of other ranges and tables around the range."""
    for owner in (b"q" * 16, OTHER):
        index.put(rows.register_key(owner, b"a"), b"not ours")
    index.put(b"E" + RANGE, b"")
    index.put(b"S" + RANGE, b"")


@settings(max_examples=300)
@given(st.dictionaries(names(), st.booleans(), max_size=25), queries())
def test_a_page_is_a_slice_of_the_sorted_names(held: dict[str, bool], query: ListQuery) -> None:
    """Live names and their common prefixes; tombstones neither show nor make a prefix."""
    index = MemoryIndex()
    neighbours(index)
    for name, live in held.items():
        put(index, name, 1, live=live)
    page = decode(list_page(index, call_of(query)))
    expected, truncated = select([name for name, live in held.items() if live], query)
    assert [(row.name, bool(row.witness)) for row in page.rows] == expected
    assert page.truncated == truncated
    for row in page.rows:
        if row.witness:
            assert row.summary is None
            assert row.witness.startswith(row.name)
            assert held[row.witness]
        else:
            assert row.summary == f"{row.name} 1"
    bare = decode(list_page(index, call_of(query, digest_only=True)))
    assert (bare.rows, bare.truncated, bare.digest) == ([], truncated, page.digest)


@settings(max_examples=100)
@given(st.dictionaries(names(), st.booleans(), max_size=25), queries())
def test_tombstones_are_shown_to_those_who_merge(held: dict[str, bool], query: ListQuery) -> None:
    """With `dead`, every name that is held, without a summary where it is not live."""
    index = MemoryIndex()
    for name, live in held.items():
        put(index, name, 1, live=live)
    query = query._replace(delimiter="")
    page = decode(list_page(index, call_of(query, dead=True)))
    expected, truncated = select(list(held), query)
    assert [(row.name, False) for row in page.rows] == expected
    assert page.truncated == truncated
    assert all((row.summary is not None) == held[row.name] for row in page.rows)
    assert all(bool(row.flags & wire.LIVE) == held[row.name] for row in page.rows)


@settings(max_examples=100)
@given(st.lists(names(), unique=True, max_size=25), queries(), st.integers(0, 2000))
def test_a_page_that_would_grow_too_large_ends_early(
    held: list[str], query: ListQuery, bytes_max: int
) -> None:
    """Following its last row misses nothing; a page is never empty while names remain."""
    index = MemoryIndex()
    for name in held:
        put(index, name, 1, live=True)
    expected, truncated = select(held, query)
    seen: list[str] = []
    page = None
    while page is None or (page.truncated and len(seen) < len(expected)):
        marker = seen[-1] if seen else query.marker
        limit = query.limit - len(seen)
        rest = query._replace(marker=marker, limit=limit)
        page = decode(list_page(index, call_of(rest), bytes_max=bytes_max))
        assert page.rows or not expected
        seen += [row.name for row in page.rows]
    assert seen == [name for name, _ in expected]
    assert page.truncated == truncated


@settings(max_examples=150)
@given(st.dictionaries(names(), st.booleans(), max_size=25), queries(), st.integers(1, 4))
def test_a_page_made_in_steps_is_the_same_page(
    held: dict[str, bool], query: ListQuery, skips_max: int
) -> None:
    """However often it pauses at tombstones, also at the empty name of an account's own register."""
    index = MemoryIndex()
    put(index, "", 1, live=False)
    for name, live in held.items():
        put(index, name, 1, live=live)
    pager = Pager(call_of(query))
    steps = 0
    while (page := pager.step(index, skips_max)) is None:
        steps += 1
        assert steps <= len(held) + 1
    assert page == list_page(index, call_of(query))


def test_a_damaged_row_never_agrees_with_another_replica() -> None:
    """Its summary is lost, so its page must not be taken for confirmed."""
    good, bad = MemoryIndex(), MemoryIndex()
    for index, damaged in ((good, False), (bad, True)):
        put(index, "a", 1, live=True, damaged=damaged)
    call = call_of(ListQuery())
    pages = [decode(list_page(index, call)) for index in (good, bad)]
    assert pages[0].digest != pages[1].digest
    assert pages[1].rows[0].summary is None
    assert pages[1].rows[0].flags == wire.LIVE | wire.DAMAGED


class FakeReplicas:
    """Three replicas, of which some answer; a settling read takes the newest of those that do."""

    def __init__(self, held: Sequence[dict[str, tuple[int, bool]]], silent: int | None) -> None:
        self._held = held
        self._silent = silent
        self._indexes = []
        for versions in held:
            index = MemoryIndex()
            neighbours(index)
            for name, (version, live) in versions.items():
                put(index, name, version, live=live)
            self._indexes.append(index)
        self.settled: list[str] = []

    @property
    def _up(self) -> list[int]:
        return [number for number in range(3) if number != self._silent]

    def newest(self, name: str) -> tuple[int, bool]:
        return max(self._held[n][name] for n in self._up if name in self._held[n])

    @property
    def truth(self) -> dict[str, int]:
        """Live names with their newest versions, as far as those that answer know."""
        known = {name for number in self._up for name in self._held[number]}
        newest = {name: self.newest(name) for name in known}
        return {name: version for name, (version, live) in newest.items() if live}

    async def pages_to_merge(
        self, call: wire.ListCall, summary: type[Any]
    ) -> tuple[Mapping[int, wire.Page[Any]], Majority]:
        return {n: decode(list_page(self._indexes[n], call)) for n in self._up}, plain(3)

    async def settle(
        self, call: wire.ListCall, row: wire.Row[Any], summary: type[Any]
    ) -> ListedRow[Any] | None:
        self.settled.append(row.name)
        version, live = self.newest(row.name)
        return ListedRow(row.name, f"{row.name} {version}") if live else None


@st.composite
def replicas(draw: st.DrawFn) -> FakeReplicas:
    """Each version of each name reached a random set of replicas; each keeps the newest it has."""
    held: list[dict[str, tuple[int, bool]]] = [{}, {}, {}]
    for name in draw(st.lists(names(), unique=True, max_size=20)):
        for version in range(1, draw(st.integers(1, 3)) + 1):
            live = draw(st.booleans())
            for number in draw(st.sets(st.integers(0, 2), min_size=1)):
                held[number][name] = (version, live)
    return FakeReplicas(held, draw(st.sampled_from((None, None, 0, 1, 2))))


@settings(max_examples=300)
@given(replicas(), queries(), st.sampled_from((1, 2, 3, 7, 1000)))
def test_a_merged_page_is_that_of_the_newest_rows(
    world: FakeReplicas, query: ListQuery, rows_at_once: int
) -> None:
    """Whatever replicas miss, whoever is silent, in chunks of any size."""

    async def work(_: World) -> Any:
        return await _Merge(world, call_of(query), str, rows_at_once=rows_at_once).run()

    listed = run(work)
    truth = world.truth
    expected, truncated = select(list(truth), query)
    assert [(row.name, row.summary is None) for row in listed.rows] == expected
    assert listed.truncated == truncated
    for row in listed.rows:
        if row.summary is not None:
            assert row.summary == f"{row.name} {truth[row.name]}"


def test_rows_on_a_majority_need_no_settling() -> None:
    """What two of three hold alike is settled already."""
    same = {"a": (1, True), "b": (2, True)}
    world = FakeReplicas([same, same, {**same, "c": (1, True)}], None)

    async def work(_: World) -> Any:
        return await _Merge(world, call_of(ListQuery()), str).run()

    assert [row.name for row in run(work).rows] == ["a", "b", "c"]
    assert world.settled == ["c"]


def test_a_lost_summary_is_taken_from_another_replica() -> None:
    """A damaged row of the same ballot never hides a good one, and two damaged ones are settled."""
    world = FakeReplicas([{"a": (1, True)}] * 3, None)
    for damaged_count in (1, 2):
        for number in range(damaged_count):
            put(world._indexes[number], "a", 1, live=True, damaged=True)

        async def work(_: World) -> Any:
            return await _Merge(world, call_of(ListQuery()), str).run()

        assert run(work).rows == [ListedRow("a", "a 1")]


def test_cost_follows_the_rows_shown_not_the_names_skipped() -> None:
    """A million names under one prefix are one seek."""
    index = MemoryIndex()
    chance = random.Random(1)
    for number in range(5000):
        put(index, f"deep/{number:06d}{chance.random()}", 1, live=True)
    put(index, "flat", 1, live=True)
    touched = 0
    scan = index.scan

    class Counting(MemoryIndex):
        def scan(self, start: bytes, end: bytes, *, reverse: bool = False) -> Any:
            nonlocal touched
            for pair in scan(start, end, reverse=reverse):
                touched += 1
                yield pair

    page = decode(list_page(Counting(), call_of(ListQuery(delimiter="/"))))
    assert [row.name for row in page.rows] == ["deep/", "flat"]
    assert touched < 10
