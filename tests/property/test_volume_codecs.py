"""What volumes keep in objects: it reads back as it was, and nothing else ever passes for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Corrupt
from volume.branch import Row
from volume.checkpoint import (
    Place,
    Root,
    decode_delta,
    decode_root,
    encode_delta,
    encode_root,
    pack_places,
)
from volume.entry import DATA, END, MOVE, Entry, Written, decode_footer, encode_footer
from volume.leaf import Leaf
from volume.ledger import Ledger
from volume.place import DATA_BLOCKS_MAX, HOLE
from volume.state import Checkpoint, Origin, Part, Pin, State, decode_state, encode_state

branches = st.text("0123456789abcdef", min_size=16, max_size=16)
numbers = st.integers(1, 1 << 40)


@st.composite
def entries(draw: Any) -> Entry:
    kind = draw(st.sampled_from([DATA, MOVE, END]))
    common = (draw(branches), draw(numbers), draw(numbers), draw(st.integers(0, 1 << 44)))
    if kind == END:
        return Entry(kind, *common, successor=draw(branches))
    blocks = draw(st.integers(0, DATA_BLOCKS_MAX))
    runs = []
    for _ in range(draw(st.integers(0, 8))):
        block = draw(st.integers(0, (1 << 32) - DATA_BLOCKS_MAX - 1))
        if blocks and (kind == MOVE or draw(st.booleans())):
            offset = draw(st.integers(0, blocks - 1))
            length = draw(st.integers(1, blocks - offset))
        else:
            offset, length = HOLE, draw(st.integers(1, DATA_BLOCKS_MAX))
        source = (draw(numbers), draw(numbers)) if kind == MOVE else (0, 0)
        runs.append(Written(block, length, offset, *source))
    return Entry(kind, *common, blocks, runs)


@given(entries(), st.binary(max_size=100))
def test_a_footer_reads_back(entry: Entry, data: bytes) -> None:
    """Whatever is in front of it."""
    found = decode_footer(data + encode_footer(entry))
    assert found == entry._replace(runs=list(entry.runs))


@given(entries(), st.data())
def test_a_damaged_footer_is_refused(entry: Entry, data: st.DataObject) -> None:
    """One flipped bit anywhere, or any cut."""
    raw = bytearray(encode_footer(entry))
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << at % 8
    with pytest.raises(Corrupt):
        decode_footer(raw)
    whole = encode_footer(entry)
    with pytest.raises(Corrupt):
        decode_footer(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(st.binary(max_size=300))
def test_noise_is_refused_everywhere(noise: bytes) -> None:
    """With Corrupt, by every parser."""
    for parse in [
        decode_footer,
        decode_root,
        lambda raw: list(decode_delta(raw)),
        decode_state,
        lambda raw: Leaf.decode(64, raw),
        lambda raw: Ledger.decode(raw, {}),
    ]:
        with pytest.raises(Corrupt):
            parse(noise)


@given(st.lists(entries(), max_size=5))
def test_a_delta_reads_back(found: list[Entry]) -> None:
    """In order."""
    raw = encode_delta(found)
    assert [one._replace(runs=list(one.runs)) for one in found] == list(decode_delta(raw))
    with pytest.raises(Corrupt):
        list(decode_delta(raw[:-1]))


parts = st.builds(Part, st.text("abc", min_size=1, max_size=3), st.text("xyz", max_size=3))
places = st.builds(Place, parts, st.integers(0, 1 << 40), st.integers(0, 1 << 20))


@given(st.dictionaries(st.integers(0, 1 << 18), places, max_size=10), st.binary(max_size=50))
def test_a_root_reads_back(found: dict[int, Place], front: bytes) -> None:
    """With the place of every leaf."""
    named, rows = pack_places(found)
    root = Root(7, 8, 9, 64, named, rows, b"ledger")
    again = decode_root(front + encode_root(root))
    assert again == root
    assert again.places() == found


checkpoints = st.builds(
    Checkpoint,
    st.integers(0, 1 << 40),
    numbers,
    st.none() | parts,
    st.lists(parts, max_size=3).map(tuple),
    st.lists(parts, max_size=3).map(tuple),
)
pins = st.builds(
    Pin,
    st.sampled_from(["snapshot", "clone"]),
    st.text(max_size=5),
    numbers,
    numbers,
    numbers,
    checkpoints,
)


@given(
    st.lists(pins, max_size=3).map(tuple),
    st.lists(checkpoints, min_size=1, max_size=3).map(tuple),
    st.none() | st.builds(Origin, st.text(max_size=3), st.text(max_size=3), numbers),
)
def test_a_state_reads_back(
    some_pins: tuple[Pin, ...], some: tuple[Checkpoint, ...], origin: Origin | None
) -> None:
    """All of it."""
    rows = (Row(1, "p", "0" * 16), Row(5, "v", "1" * 16))
    state = State("v", 1, 2, 3, "gold", rows, some, pins=some_pins, origin=origin)
    assert decode_state(encode_state(state)) == state


@pytest.mark.parametrize(
    "rows", [(), (Row(1, "other", "b"),), (Row(3, "v", "b"), Row(2, "v", "c")), (Row(0, "v", "b"),)]
)
def test_a_state_that_contradicts_itself_is_refused(rows: tuple[Row, ...]) -> None:
    """Branches out of order, or none of its own."""
    state = State("v", 1, 2, 3, "gold", rows, (Checkpoint(0, 0),))
    with pytest.raises(Corrupt):
        decode_state(encode_state(state))
