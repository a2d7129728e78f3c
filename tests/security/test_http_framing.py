"""Request smuggling and abuse: every ambiguous framing is refused and the connection closed.

The table is also run through h11, a strict and independent parser: what h11 refuses we refuse, and
where we accept, both see the same requests and bodies.
"""

from __future__ import annotations

import asyncio

import h11
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import limits
from core.http import BodyTruncated, HttpServer, Request, Response


class Recorder:
    """A handler that notes the requests it sees."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, bytes | None]] = []

    async def __call__(self, request: Request) -> Response:
        try:
            body = b"".join([chunk async for chunk in request.body])
        except BodyTruncated:
            self.seen.append((request.method, request.path, None))
            return Response(400, [], b"cut")
        self.seen.append((request.method, request.path, body))
        return Response(200, [("X-Ok", "1")], b"")


def exchange(data: bytes, *, pieces: int = 1):
    """Send bytes, half-close, and return (statuses, requests seen)."""

    async def work():
        recorder = Recorder()
        server = HttpServer(recorder)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            size = max(1, -(-len(data) // pieces))
            for start in range(0, len(data), size):
                writer.write(data[start : start + size])
                if pieces > 1:
                    await asyncio.sleep(0)
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 5)
        except OSError:
            answer = b""
        finally:
            writer.close()
            await server.stop(0.02)
        statuses = [
            int(line.split()[1]) for line in answer.split(b"\r\n") if line[:7] == b"HTTP/1."
        ]
        return statuses, recorder.seen

    return asyncio.run(work())


def lines(*given: str | bytes, body: bytes = b"") -> bytes:
    raw = [line.encode() if isinstance(line, str) else line for line in given]
    return b"\r\n".join([*raw, b"", b""]) + body


SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
REFUSED = {
    "both lengths": lines(
        "PUT / HTTP/1.1",
        "Host: h",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        body=b"0\r\n\r\n" + SMUGGLED,
    ),
    "both lengths, other order": lines(
        "PUT / HTTP/1.1",
        "Host: h",
        "Transfer-Encoding: chunked",
        "Content-Length: 5",
        body=b"0\r\n\r\n" + SMUGGLED,
    ),
    "two different lengths": lines(
        "PUT / HTTP/1.1", "Host: h", "Content-Length: 0", "Content-Length: 5", body=b"abcde"
    ),
    "two equal lengths": lines(
        "PUT / HTTP/1.1", "Host: h", "Content-Length: 5", "Content-Length: 5", body=b"abcde"
    ),
    "a list of lengths": lines("PUT / HTTP/1.1", "Host: h", "Content-Length: 5, 5", body=b"abcde"),
    "a signed length": lines("PUT / HTTP/1.1", "Host: h", "Content-Length: +5", body=b"abcde"),
    "a negative length": lines("PUT / HTTP/1.1", "Host: h", "Content-Length: -5", body=b"abcde"),
    "a hexadecimal length": lines(
        "PUT / HTTP/1.1", "Host: h", "Content-Length: 0x5", body=b"abcde"
    ),
    "an empty length": lines("PUT / HTTP/1.1", "Host: h", "Content-Length: ", body=b"abcde"),
    "a length beyond 64 bits": lines("PUT / HTTP/1.1", "Host: h", "Content-Length: " + "9" * 30),
    "a space before the colon": lines(
        "PUT / HTTP/1.1", "Host: h", "Transfer-Encoding : chunked", body=b"0\r\n\r\n" + SMUGGLED
    ),
    "an odd encoding": lines(
        "PUT / HTTP/1.1", "Host: h", "Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SMUGGLED
    ),
    "chunked not last": lines(
        "PUT / HTTP/1.1", "Host: h", "Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"
    ),
    "another encoding first": lines(
        "PUT / HTTP/1.1", "Host: h", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"
    ),
    "two encodings": lines(
        "PUT / HTTP/1.1",
        "Host: h",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: identity",
        body=b"0\r\n\r\n" + SMUGGLED,
    ),
    "chunked in HTTP/1.0": lines(
        "PUT / HTTP/1.0", "Host: h", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "no host": lines("GET / HTTP/1.1"),
    "two hosts": lines("GET / HTTP/1.1", "Host: a", "Host: b"),
    "a folded header": lines("GET / HTTP/1.1", "Host: h", "X-A: 1\r\n 2"),
    "a bare line feed in the head": b"GET / HTTP/1.1\nHost: h\n\n",
    "a bare line feed between headers": b"GET / HTTP/1.1\r\nHost: h\nX-A: 1\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nHost: h\rX-A: 1\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: h\r\nX-A: a\0b\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: h\r\nX\0A: b\r\n\r\n",
    "a space in a name": b"GET / HTTP/1.1\r\nHost: h\r\nX A: b\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: h\r\nnonsense\r\n\r\n",
    "a control character in the target": b"GET /a\x01b HTTP/1.1\r\nHost: h\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "a future version": b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
    "no HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
CHUNKED = lines("PUT / HTTP/1.1", "Host: h", "Transfer-Encoding: chunked")
BAD_CHUNKS = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "a signed size": b"+3\r\nabc\r\n0\r\n\r\n",
    "a prefixed size": b"0x3\r\nabc\r\n0\r\n\r\n",
    "a size beyond 64 bits": b"f" * 17 + b"\r\nabc",
    "too little data": b"5\r\nabc\r\n0\r\n\r\n",
    "too much data": b"3\r\nabcde\r\n0\r\n\r\n",
    "bare line feeds": b"3\nabc\n0\n\n",
    "a line feed after the data": b"3\r\nabc\n0\r\n\r\n",
    "no end": b"3\r\nabc\r\n",
    "a space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_heads_are_refused(name):
    """400 or 501, nothing handled, and above all nothing smuggled."""
    statuses, seen = exchange(REFUSED[name])
    assert seen == []
    assert statuses == [] or statuses[0] in {400, 405, 501, 505}
    assert len(statuses) <= 1


@pytest.mark.parametrize("name", BAD_CHUNKS)
def test_bad_chunks_break_the_body(name):
    """The handler never takes a body with broken framing for whole, and nothing follows it."""
    statuses, seen = exchange(CHUNKED + BAD_CHUNKS[name] + SMUGGLED)
    assert [body for _, _, body in seen] in ([], [None])
    assert all(status == 400 for status in statuses)


def test_a_body_cut_at_any_offset_is_never_whole():
    whole = CHUNKED + b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\n"
    for cut in range(len(CHUNKED), len(whole)):
        _, seen = exchange(whole[:cut])
        assert all(body is None for _, _, body in seen), cut
    assert exchange(whole)[1] == [("PUT", "/", b"helloabc")]
    sized = lines("PUT / HTTP/1.1", "Host: h", "Content-Length: 5", body=b"hello")
    for cut in range(len(sized) - 5, len(sized)):
        assert all(body is None for _, _, body in exchange(sized[:cut])[1]), cut


def test_trailers_never_become_headers():
    seen = []

    async def handler(request: Request) -> Response:
        await request.body.read_all(100)
        await asyncio.sleep(0)
        seen.append(dict(request.headers))
        return Response(200)

    async def work():
        server = HttpServer(handler)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(CHUNKED + b"1\r\na\r\n0\r\nX-Auth-Token: stolen\r\nHost: evil\r\n\r\n")
        writer.write_eof()
        await reader.read()
        writer.close()
        await server.stop(0.02)

    asyncio.run(work())
    assert all(b"x-auth-token" not in headers for headers in seen)
    assert all(headers[b"host"] == b"h" for headers in seen)


@pytest.mark.parametrize(
    ("message", "status"),
    [
        (lines("GET /" + "a" * limits.URL_BYTES_MAX + " HTTP/1.1", "Host: h"), 414),
        (lines("GET / HTTP/1.1", "Host: h", "X: " + "a" * limits.HEADER_BYTES_MAX), 431),
        (
            lines(
                "GET / HTTP/1.1", "Host: h", *(f"X-{i}: 1" for i in range(limits.HEADER_COUNT_MAX))
            ),
            431,
        ),
        (lines("GET / HTTP/1.1", "Host: h", *(f"X-{i}: " + "a" * 4000 for i in range(100))), 431),
    ],
)
def test_oversized_heads_are_refused_with_their_status(message, status):
    statuses, seen = exchange(message)
    assert statuses == [status]
    assert seen == []


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nHost: h\r\nX: ",
        b"GET /",
        CHUNKED + b"1;x=",
        CHUNKED + b"1\r\na\r\n0\r\nX: ",
    ],
)
def test_an_endless_line_is_cut_off_while_it_arrives(start):
    """Heads, chunk extensions and trailers that never end are refused long before they fill memory."""

    async def work():
        server = HttpServer(Recorder())
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(start)
        sent = 0
        try:
            while sent < 8 << 20:
                writer.write(b"a" * (1 << 16))
                await asyncio.wait_for(writer.drain(), 2)
                sent += 1 << 16
            answer = await asyncio.wait_for(reader.read(), 2)
        except (ConnectionError, TimeoutError):
            answer = b""
        held = [c for c in server.connections if not c._lingering]
        writer.close()
        await server.stop(0.02)
        assert not held
        assert b" 200 " not in answer

    asyncio.run(work())


def h11_view(data: bytes):
    """What h11 makes of the same bytes: requests seen, and whether it refused in the end."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    connection.receive_data(b"")
    seen = []
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                current = [event.method.decode(), event.target.decode(), b""]
            elif isinstance(event, h11.Data):
                current[2] += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                seen.append(tuple(current))
                if connection.their_state is not h11.DONE:
                    return seen, False
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                connection.start_next_cycle()
            else:
                return seen, False
    except h11.ProtocolError:
        return seen, True


@pytest.mark.parametrize("name", [*REFUSED, *(f"chunk: {name}" for name in BAD_CHUNKS)])
def test_what_we_accept_h11_reads_the_same_way(name):
    data = REFUSED.get(name) or CHUNKED + BAD_CHUNKS[name.removeprefix("chunk: ")] + SMUGGLED
    ours = [s for s in exchange(data)[1] if s[2] is not None]
    theirs, _ = h11_view(data)
    assert ours == theirs[: len(ours)]


PIECES = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"PUT /x HTTP/1.1\r\n",
        b"Host: h\r\n",
        b"\r\n",
        b"\n",
        b"\r",
        b"Content-Length: 3\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"X-A: 1\r\n",
        b" folded\r\n",
        b"abc",
        b"3\r\nabc\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"5;a=b\r\nhello\r\n",
        b"Connection: close\r\n",
        b"\0",
        b" ",
        b":",
        b"Expect: 100-continue\r\n",
        b"Connection: keep-alive\r\n",
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=14), st.integers(1, 4))
def test_any_mix_of_fragments_is_read_as_h11_reads_it_or_refused(pieces, count):
    """No request is seen by us that a strict parser would not see at the same place."""
    data = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(pieces)
    ours = [s for s in exchange(data, pieces=count)[1] if s[2] is not None]
    theirs, _ = h11_view(data)
    assert ours == theirs[: len(ours)]
