"""Whatever a client sends in its handshake, it is answered or cut off, and told nothing that it may not know."""

from __future__ import annotations

import contextlib
import itertools
import struct

from hypothesis import example, given
from hypothesis import strategies as st

from blockd.nbd import wire
from blockd.nbd.negotiation import Broken, Negotiation, Offer
from blockd.nbd.wire import Option, Transmission
from core.errors import Corrupt

OFFER = Offer("secret-export", 1 << 30, Transmission.HAS_FLAGS, "words", ("monday",))


def negotiation(*, tls: bool) -> Negotiation:
    def find(name: str) -> Offer | None:
        return OFFER if name in {"", OFFER.name} else None

    return Negotiation(find, lambda: [OFFER], tls=tls)


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


names = st.sampled_from([b"", b"secret-export", b"x", b"\xff", b"n" * 5000])
numbers = st.integers(0, 3)
bodies = st.one_of(
    st.binary(max_size=64),
    st.builds(
        lambda name, count: text(name) + struct.pack(">H", count) * (count + 1), names, numbers
    ),
    st.builds(
        lambda name, queries: (
            text(name) + struct.pack(">I", len(queries)) + b"".join(map(text, queries))
        ),
        names,
        st.lists(st.sampled_from([b"base:", b"base:allocation", b"ringstack:"]), max_size=4),
    ),
)
options = st.builds(
    lambda option, body: wire.OPTION.pack(wire.OPTION_MAGIC, option, len(body)) + body,
    st.one_of(st.sampled_from(list(Option)), st.integers(0, 0xFFFF_FFFF)),
    bodies,
)
conversations = st.builds(
    lambda flags, parts: struct.pack(">I", flags) + b"".join(parts),
    st.sampled_from([0, 1, 2, 3, 3, 3, 8]),
    st.lists(st.one_of(options, st.binary(max_size=20)), max_size=8),
)


def run(data: bytes, cuts: list[int], *, tls: bool) -> tuple[bytes | None, Negotiation]:
    """Feed a conversation in pieces; None when the client was cut off."""
    one = negotiation(tls=tls)
    answer = b""
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    try:
        for start, end in itertools.pairwise(edges):
            if one.agreed is None and not one.closed and not one.start_tls:
                answer += one.feed(data[start:end])
    except Broken:
        return None, one
    return answer, one


@given(conversations, st.lists(st.integers(0, 400), max_size=6))
def test_any_handshake_ends_in_an_answer_or_a_closed_door(data: bytes, cuts: list[int]) -> None:
    """However it is cut into pieces, the outcome is the same."""
    answer, one = run(data, cuts, tls=False)
    again, other = run(data, [], tls=False)
    assert answer == again
    assert (one.agreed, one.closed) == (other.agreed, other.closed)


@given(conversations)
def test_before_tls_nothing_is_told(data: bytes) -> None:
    """Neither the name of an export nor whether there is one; and nobody gets to transmission."""
    answer, one = run(data, [], tls=True)
    assert one.agreed is None
    for word in (b"secret-export", b"words", b"monday", b"base:"):
        assert word not in (answer or b"")


@given(st.binary(max_size=64), st.booleans())
@example(bytes(32), True)
def test_request_headers_are_decoded_or_refused(data: bytes, extended: bool) -> None:
    """Never anything else."""
    size = (wire.EXTENDED_REQUEST if extended else wire.REQUEST).size
    with contextlib.suppress(Corrupt):
        request = wire.decode_request(data.ljust(size, b"\0"), extended=extended)
        assert request.length >= 0
