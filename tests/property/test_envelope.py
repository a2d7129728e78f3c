"""Lineage: a retry can tell whether its earlier attempt took effect, or that it cannot."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.limits import LINEAGE_MAX, LINEAGE_WINDOW_US
from core.stamp import ZERO, clock_of, make_ballot
from proxy.store.envelope import EMPTY, NIL, Envelope, descend, knows, seal, unseal

steps = st.lists(
    st.tuples(st.integers(1, LINEAGE_WINDOW_US // 3), st.integers(0, 3)), min_size=1, max_size=120
)
RECORD = msgspec.msgpack.encode({"a": 1})


def history(moves: list[tuple[int, int]]) -> tuple[list[bytes], list[Envelope]]:
    """Request ids with growing clocks, and the envelope after each."""
    clock = 10**15
    ids: list[bytes] = []
    envelopes = [EMPTY]
    for advance, proposer in moves:
        clock += advance
        ids.append(make_ballot(0, clock, proposer))
        envelopes.append(descend(envelopes[-1], ids[-1], RECORD))
    return ids, envelopes[1:]


@given(steps)
def test_an_envelope_never_denies_what_happened(moves: list[tuple[int, int]]) -> None:
    """True for what it was built on while it remembers, None once it has forgotten, never False."""
    ids, envelopes = history(moves)
    for position, envelope in enumerate(envelopes):
        assert knows(envelope, ids[position]) is True
        for request in ids[: position + 1]:
            assert knows(envelope, request) is not False


@given(steps, st.integers(0, 119), st.integers(0, 3))
def test_what_never_happened_is_denied_or_unknown(
    moves: list[tuple[int, int]], at: int, proposer: int
) -> None:
    """An id that was never accepted is not remembered; above the floor that is certain."""
    ids, envelopes = history(moves)
    chosen = ids[at % len(ids)]
    never = make_ballot(0, clock_of(chosen), 100 + proposer)
    answer = knows(envelopes[-1], never)
    assert answer is not True
    assert (answer is None) == (never <= envelopes[-1].floor)


@given(steps)
def test_lineage_is_bounded_and_recent(moves: list[tuple[int, int]]) -> None:
    """At most LINEAGE_MAX ids, within the window, in order, all above the floor; the floor only rises."""
    _, envelopes = history(moves)
    floor = ZERO
    for envelope in envelopes:
        lineage = list(envelope.lineage)
        assert len(lineage) <= LINEAGE_MAX
        assert lineage == sorted(lineage)
        assert all(one > envelope.floor for one in lineage)
        assert clock_of(lineage[-1]) - clock_of(lineage[0]) <= LINEAGE_WINDOW_US
        assert envelope.floor >= floor
        floor = envelope.floor


@given(st.integers(1, 8), st.integers(1, 40))
def test_ids_leave_smallest_first(keep: int, count: int) -> None:
    """The floor is the largest id that left."""
    ids = [make_ballot(0, 10**15 + n, 0) for n in range(count)]
    envelope = EMPTY
    for request in ids:
        envelope = descend(envelope, request, RECORD, lineage_max=keep)
    assert list(envelope.lineage) == ids[-keep:]
    assert envelope.floor == (ids[-keep - 1] if count > keep else ZERO)


def test_a_repeated_request_changes_nothing() -> None:
    """A retry of the same request is one member of the lineage."""
    request = make_ballot(0, 10**15, 1)
    once = descend(EMPTY, request, RECORD)
    assert descend(once, request, RECORD) == once


@given(steps)
def test_envelopes_are_read_back(moves: list[tuple[int, int]]) -> None:
    """Round trip, the record untouched."""
    envelope = history(moves)[1][-1]
    back = unseal(seal(envelope))
    assert (back.floor, back.lineage, bytes(back.record)) == (
        envelope.floor,
        envelope.lineage,
        RECORD,
    )


@given(st.binary(min_size=1, max_size=80))
def test_garbage_is_refused(data: bytes) -> None:
    """Only a decode error comes out of bytes that are no envelope."""
    try:
        unseal(data)
    except msgspec.DecodeError:
        return


def test_an_absent_register_has_an_empty_envelope() -> None:
    """Nothing held: no lineage, nil record."""
    assert unseal(b"") is EMPTY
    assert bytes(EMPTY.record) == NIL
    with pytest.raises(msgspec.DecodeError):
        unseal(b"\xc1")
