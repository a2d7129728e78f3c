"""The map, the batch and the ledger against plain dictionaries and bytearrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from volume.batch import ZERO_STRETCH, Batch, cut_zeros, overlay
from volume.branch import BranchTable, Row
from volume.entry import DATA, MOVE, Entry, Written
from volume.extent_map import ExtentMap
from volume.leaf import Leaf
from volume.ledger import Held, Ledger
from volume.place import HOLE, NEVER, holds_data, place_of
from volume.port import BLOCK_BYTES
from volume.progress import Progress

LEAF = 16
BLOCKS = 70
FAR = 1 << 23  # further apart than a narrow leaf can tell


@st.composite
def runs(draw: Any) -> tuple[int, int, int]:
    """(block, blocks, place) with a bias to aligned runs."""
    unit = draw(st.sampled_from([1, 1, 2, 4, 8, 16]))
    block = draw(st.integers(0, (BLOCKS - unit) // unit)) * unit
    length = draw(st.integers(1, max(1, (BLOCKS - block) // unit))) * unit
    number = draw(st.integers(1, 9) | st.integers(FAR, FAR + 9))
    offset = draw(st.sampled_from([HOLE]) | st.integers(0, 500))
    return block, min(length, BLOCKS - block), place_of(number, offset)


def expected(work: list[tuple[int, int, int]]) -> list[int]:
    """Places by a plain list; zeros where there is no leaf leave no trace."""
    model, leaves = [NEVER] * BLOCKS, set[int]()
    for block, length, place in work:
        for number in range(length):
            data = holds_data(place)
            if not data and (block + number) // LEAF not in leaves:
                continue
            model[block + number] = place + number if data else place
        if holds_data(place):
            leaves |= {at // LEAF for at in range(block, block + length)}
    return model


@given(st.lists(runs(), max_size=12), st.booleans())
def test_the_map_is_a_list_of_places(work: list[tuple[int, int, int]], compact: bool) -> None:
    """By block, by run, after compaction and through the disk form; and it says what it displaced."""
    extents, model = ExtentMap(LEAF), [NEVER] * BLOCKS
    for number, (block, length, place) in enumerate(work):
        before = model
        model = expected(work[: number + 1])
        displaced = extents.assign(block, length, place)
        lost: dict[int, int] = {}
        for old in before[block : block + length]:
            if holds_data(old):
                lost[old >> 10] = lost.get(old >> 10, 0) + 1
        assert displaced == lost
        if compact:
            extents.coarsen()
    assert [extents.place(block) for block in range(BLOCKS)] == model
    assert extents.places(0, BLOCKS).tolist() == model
    spread = [
        run.place + number * run.data
        for run in extents.runs(0, BLOCKS)
        for number in range(run.length)
    ]
    assert spread == model
    counts: dict[int, int] = {}
    for place in model:
        if holds_data(place):
            counts[place >> 10] = counts.get(place >> 10, 0) + 1
    assert extents.live() == counts
    for leaf in extents.leaves.values():
        again = Leaf.decode(LEAF, leaf.encode())
        assert again.places(0, LEAF).tolist() == leaf.places(0, LEAF).tolist()


def test_runs_of_neighbours_are_joined() -> None:
    """Across leaves too, and spans without leaves at once."""
    extents = ExtentMap(LEAF)
    for block in range(0, 64, 4):
        extents.assign(block, 4, place_of(3, block))
    assert [(run.block, run.length) for run in extents.runs(0, 1 << 32)] == [
        (0, 64),
        (64, (1 << 32) - 64),
    ]


def test_a_regular_leaf_takes_a_number_for_many_blocks() -> None:
    """64 KiB extents take four bytes each; splitting and joining come back to that."""
    leaf = Leaf.suited(1024, 0, 16, place_of(5, 0))
    for number in range(64):
        leaf.assign(number * 16, 16, place_of(5 + number, 16 * (number % 60)))
    assert (leaf.granule, leaf.memory_bytes) == (16, 64 * 4)
    leaf.assign(3, 1, place_of(99, 7))
    assert leaf.granule == 1
    leaf.assign(0, 16, place_of(5, 0))
    leaf.coarsen()
    assert (leaf.granule, leaf.memory_bytes) == (16, 64 * 4)


@st.composite
def batch_work(draw: Any) -> list[tuple[str, int, int, int]]:
    return [
        (
            draw(st.sampled_from(["write", "write", "zero"])),
            draw(st.integers(0, 30)),
            draw(st.integers(1, 6)),
            draw(st.integers(1, 255)),
        )
        for _ in range(draw(st.integers(0, 20)))
    ]


@given(batch_work())
def test_batches_over_a_map_read_like_a_bytearray(work: list[tuple[str, int, int, int]]) -> None:
    """Sealed when there is no room, applied in order, overlaid before they are."""
    model = bytearray(40 * BLOCK_BYTES)
    batches, stored = [Batch(8)], bytearray(40 * BLOCK_BYTES)
    for kind, block, length, fill in work:
        data = (
            bytes([fill]) * (length * BLOCK_BYTES)
            if kind == "write"
            else bytes(length * BLOCK_BYTES)
        )
        model[block * BLOCK_BYTES : (block + length) * BLOCK_BYTES] = data
        room = batches[-1].room if kind == "write" else batches[-1].room_for_zeros
        if not room(block, length):
            batches.append(Batch(8))
        if kind == "write":
            batches[-1].write(block, memoryview(data))
        else:
            batches[-1].zero(block, length)
    read = bytearray(40 * BLOCK_BYTES)
    missing = overlay(batches, 0, 40, memoryview(read))
    for block, length in missing:
        assert not any(model[block * BLOCK_BYTES : (block + length) * BLOCK_BYTES])
    assert read == model
    for number, batch in enumerate(batches, 1):
        entry = batch.entry("0" * 16, number, 0, 0)
        assert entry.blocks * BLOCK_BYTES == len(batch.data)
        for run in entry.runs:
            low = run.block * BLOCK_BYTES
            piece = bytes(run.length * BLOCK_BYTES)
            if run.offset != HOLE:
                start = run.offset * BLOCK_BYTES
                piece = batch.data[start : start + run.length * BLOCK_BYTES]
            stored[low : low + len(piece)] = piece
    assert stored == model


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=3), max_size=25),
    st.data(),
)
def test_the_ledger_counts_what_the_map_names(
    work: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    """After writes and moves, also through the disk form; the dead are those that it does not name."""
    progress = Progress(ExtentMap(LEAF), Ledger(1), 0, 0)
    for number, pieces in enumerate(work, 1):
        offset, written = 0, []
        move = data.draw(st.booleans())
        for block, length in pieces:
            source = int(progress.map.place(block)) if move else 0
            written.append(Written(block, length, offset, source, 1))
            offset += length
        entry = Entry(MOVE if move else DATA, "0" * 16, number, number, 0, offset, written)
        progress.apply(entry)
        ledger, live = progress.ledger, progress.map.live()
        assert ledger.live_blocks == sum(live.values())
        assert ledger.deaths.keys() == {one for one in range(1, number + 1) if one not in live}
        sizes = {one: sum(length for _, length in work[one - 1]) for one in range(1, number + 1)}
        assert ledger.blocks == sum(sizes.values())
        assert ledger.garbage(0) == sum(sizes[one] - live[one] for one in live)
        again = Ledger.decode(ledger.encode(), live)
        assert (again.deaths, again.blocks, again.live_blocks, again.dead_blocks) == (
            ledger.deaths,
            ledger.blocks,
            ledger.live_blocks,
            ledger.dead_blocks,
        )
        assert ledger.dead_blocks == sum(sizes[one] for one in ledger.deaths)


@given(
    st.dictionaries(st.integers(1, 30), st.integers(0, 20), max_size=10),
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 10)), max_size=4),
    st.integers(0, 50),
)
def test_what_a_kept_position_reads_never_goes(
    lives: dict[int, int], pins: list[tuple[int, int]], limit: int
) -> None:
    """Neither its data, nor what its recovery replays after its checkpoint."""
    ledger = Ledger(1)
    for number in sorted(lives):
        ledger.born(number, 1, moved=False)
        ledger.gained(number, 1)
        ledger.lost({number: 1}, number + lives[number])
    held = [Held(position, max(0, position - behind)) for position, behind in pins]
    for number in ledger.removable(held, limit):
        death = number + lives[number]
        assert death <= limit
        for position, checkpoint in held:
            assert not number <= position < death
            assert not checkpoint < number <= position


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 100))
def test_a_branch_table_finds_the_row_of_an_entry(gaps: list[int], sequence: int) -> None:
    """By bisection as by looking at all of them."""
    first, rows = 1, []
    for number, gap in enumerate(gaps):
        rows.append(Row(first, "v", f"{number:016x}"))
        first += gap
    table = BranchTable(rows)
    slow = [row for row in rows if row.first <= sequence][-1]
    assert table.row(sequence) == slow
    following = [row.first for row in rows if row.first > sequence]
    assert table.end_of(sequence) == (following[0] - 1 if following else None)
    fork = Row(sequence + 1, "clone", "f" * 16)
    forked = BranchTable([*table.until(sequence), fork])
    assert forked.row(sequence) == slow
    assert forked.row(sequence + 5) == fork


def test_places_are_what_they_say() -> None:
    """Object, offset, hole."""
    assert np.uint64(place_of(5, 3)) == 5 * 1024 + 3
    assert holds_data(place_of(5, 3))
    assert not holds_data(place_of(5, HOLE))
    assert not holds_data(NEVER)


@given(st.integers(0, 40), st.lists(st.booleans(), min_size=1, max_size=80))
def test_stretches_of_zeros_are_cut_out_and_nothing_else(block: int, kinds: list[bool]) -> None:
    """All blocks, in order, once; what is said to be zero is, and is long and aligned."""
    data = b"".join((b"\0" if zero else b"\1") * BLOCK_BYTES for zero in kinds)
    found = cut_zeros(block, memoryview(data))
    at = block
    for low, count, zero in found:
        assert low == at
        at += count
        if zero:
            assert all(kinds[low - block : at - block])
            assert low % ZERO_STRETCH == 0
            assert count % ZERO_STRETCH == 0
    assert at == block + len(kinds)
    for low in range(-(-block // ZERO_STRETCH) * ZERO_STRETCH, at - ZERO_STRETCH + 1, ZERO_STRETCH):
        if all(kinds[low - block : low - block + ZERO_STRETCH]):
            assert any(zero and first <= low < first + count for first, count, zero in found)
