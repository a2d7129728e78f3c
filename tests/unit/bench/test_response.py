from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bench.response import BadResponse, ResponseParser, header_fields

BODIES = st.binary(max_size=2000)
COUNTED, CHUNKED, ENDLESS = "counted", "chunked", "endless"


def framed(body: bytes, framing: str, chunk: int) -> bytes:
    if framing == COUNTED:
        return b"content-length: %d\r\n\r\n" % len(body) + body
    if framing == ENDLESS:
        return b"Connection: close\r\n\r\n" + body
    pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)]
    chunks = b"".join(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nTrailer: t\r\n\r\n"


@given(
    BODIES,
    st.sampled_from([COUNTED, CHUNKED, ENDLESS]),
    st.integers(1, 500),
    st.lists(st.integers(1, 300)),
    st.booleans(),
)
@example(b"", CHUNKED, 1, [1] * 40, True)
def test_every_framing_survives_every_split(body, framing, chunk, cuts, interim):
    """The body comes out whole however the bytes of the response are cut."""
    wire = b"HTTP/1.1 200 OK\r\nX-One: 1\r\n" + framed(body, framing, chunk)
    if interim:
        wire = b"HTTP/1.1 100 Continue\r\n\r\n" + wire
    parser = ResponseParser()
    taken = []
    for size in cuts:
        piece, wire = wire[:size], wire[size:]
        parser.feed(piece)
        taken += parser.take()
    parser.feed(wire)
    if framing == ENDLESS:
        assert not parser.complete
        parser.eof()
    assert parser.complete
    assert parser.status == 200
    assert b"".join(taken + parser.take()) == body
    assert parser.body_bytes == len(body)
    assert parser.keep_alive == (framing != ENDLESS)
    assert header_fields(parser.head)["x-one"] == "1"


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_garbage_is_a_bad_response_and_nothing_else(pieces):
    """No input makes the parser fail in another way."""
    parser = ResponseParser()
    try:
        for piece in pieces:
            parser.feed(piece)
        parser.eof()
    except BadResponse:
        return
    assert parser.complete


@given(
    st.sampled_from(
        [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        ]
    ),
    st.integers(0, 80),
    st.integers(0, 255),
)
def test_a_changed_byte_never_escapes_as_another_error(wire, place, byte):
    """Mutations of good responses end well or as BadResponse."""
    changed = bytearray(wire)
    changed[place % len(changed)] = byte
    parser = ResponseParser()
    try:
        parser.feed(bytes(changed))
        parser.eof()
    except BadResponse:
        return
    assert parser.complete


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc",
        b"HTTP/1.1 204 No Content\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 5000,
        b"x" * 300_000,
    ],
)
def test_broken_framing_is_refused(wire):
    """Ambiguous, malformed and endless heads, and bytes after the end."""
    with pytest.raises(BadResponse):
        ResponseParser().feed(wire)


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_body(status):
    """RFC 9112 section 6.3: whatever Content-Length says."""
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 %d X\r\nContent-Length: 7\r\n\r\n" % status)
    assert parser.complete
    assert parser.length == 7


def test_the_answer_to_head_has_a_length_and_no_body():
    """And the parser can be used again."""
    parser = ResponseParser()
    parser.start(bodyless=True)
    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
    assert parser.complete
    parser.start()
    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na")
    assert parser.take() == [b"a"]
    assert parser.keep_alive


def test_an_end_in_the_middle_is_an_error():
    """A body that is shorter than it says is never taken for whole."""
    parser = ResponseParser()
    parser.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab")
    with pytest.raises(BadResponse):
        parser.eof()
