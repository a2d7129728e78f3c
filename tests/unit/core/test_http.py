"""The HTTP engine over real sockets: streaming, back-pressure, keep-alive, and how it ends connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import tracemalloc

import pytest
import uvloop

from core import limits
from core.errors import Conflict
from core.http import BodyTruncated, HttpServer, Request, Response


@contextlib.asynccontextmanager
async def serving(handler):
    """A server on a random port; yields `connect`."""
    server = HttpServer(handler)
    port = await server.listen("127.0.0.1", 0)
    writers = []

    async def connect():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writers.append(writer)
        return reader, writer

    connect.server = server
    try:
        yield connect
    finally:
        for writer in writers:
            writer.close()
        await server.stop(0.05)


def run(work):
    """Run a test's coroutine in uvloop, as production does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, 20))


async def read_answer(reader, method="GET"):
    """Status, headers (lower-case) and body of one response."""
    head = await reader.readuntil(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")[:-2]
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines)}
    status = int(status_line.split()[1])
    if status == 100:
        return status, headers, b""
    body = b""
    if method == "HEAD" or status in {204, 304}:
        pass
    elif headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return status, headers, body


async def talk(handler, *messages, method="GET"):
    """Send messages on one connection and read as many answers."""
    async with serving(handler) as connect:
        reader, writer = await connect()
        answers = []
        for message in messages:
            writer.write(message)
            answers.append(await read_answer(reader, method))
        return answers


def head(method="GET", target="/", *lines, version="1.1"):
    return "\r\n".join([f"{method} {target} HTTP/{version}", "Host: h", *lines, "", ""]).encode()


async def echo(request: Request) -> Response:
    body = b"".join([chunk async for chunk in request.body])
    text = f"{request.method} {request.path}?{request.query} ".encode()
    return Response(200, [("X-Seen", "1")], text + body)


def test_a_request_is_seen_as_it_was_sent():
    answers = run(
        talk(
            echo,
            head("GET", "/a%20b/%2e%2e//c?x=1&y=%00"),
            head("PUT", "/p", "Content-Length: 3") + b"abc",
            head("PUT", "/p", "Transfer-Encoding: chunked")
            + b"2\r\nab\r\n1;ext=1\r\nc\r\n0\r\n\r\n",
        )
    )
    assert [a[2] for a in answers] == [
        b"GET /a%20b/%2e%2e//c?x=1&y=%00 ",
        b"PUT /p? abc",
        b"PUT /p? abc",
    ]
    assert all(a[1]["date"].endswith("GMT") for a in answers)
    assert "connection" not in answers[0][1]


def test_a_target_in_raw_utf8_is_percent_encoded():
    """curl sends the bytes of a name as they are; they mean what their encoding means."""
    raw = "GET /ü/%20?é HTTP/1.1\r\nHost: h\r\n\r\n".encode()
    put = "PUT /ü HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nü".encode()
    answers = run(talk(echo, raw, put, head("GET", "/a"), raw))
    assert answers[0][2] == b"GET /%C3%BC/%20?%C3%A9 "
    assert answers[1][2] == b"PUT /%C3%BC? " + "ü".encode()
    assert answers[3][2] == answers[0][2]


def test_repeated_headers_are_joined_and_names_lowered():
    async def handler(request: Request) -> Response:
        return Response(200, [], repr(sorted(request.headers.items())).encode())

    message = head("GET", "/", "X-A: 1", "x-a: 2", "X-Ü: 3".encode().decode("latin-1")[:0] + "Y: z")
    [(_, _, body)] = run(talk(handler, message))
    assert b"(b'x-a', b'1, 2')" in body
    assert b"(b'y', b'z')" in body


def test_head_announces_a_length_and_sends_no_body():
    async def handler(request: Request) -> Response:
        return Response(200, [], length=123)

    async def body_handler(request: Request) -> Response:
        return Response(200, [], b"abc")

    for handle, size in ((handler, "123"), (body_handler, "3")):
        answers = run(talk(handle, head("HEAD"), head("HEAD"), method="HEAD"))
        assert [a[1]["content-length"] for a in answers] == [size, size]


def test_204_and_304_carry_no_length():
    for status in (204, 304):

        async def handler(request: Request, status=status) -> Response:
            return Response(status, [], b"")

        answers = run(talk(handler, head(), head()))
        assert [a[0] for a in answers] == [status, status]
        assert all("content-length" not in a[1] for a in answers)


def test_an_iterator_without_length_is_chunked():
    async def handler(request: Request) -> Response:
        async def body():
            yield b"ab"
            yield b""
            yield b"cde"

        return Response(200, [], body())

    answers = run(talk(handler, head(), head()))
    assert [a[2] for a in answers] == [b"abcde", b"abcde"]
    [(_, headers, body)] = run(talk(handler, head(version="1.0")))
    assert body == b"abcde"
    assert "transfer-encoding" not in headers


def test_http_10_closes_unless_asked_to_stay():
    [(_, headers, _)] = run(talk(echo, head(version="1.0")))
    assert headers["connection"] == "close"
    answers = run(talk(echo, head("GET", "/", "Connection: keep-alive", version="1.0"), head()))
    assert answers[0][1]["connection"] == "keep-alive"
    [(_, headers, _)] = run(talk(echo, head("GET", "/", "Connection: close")))
    assert headers["connection"] == "close"


def test_an_absolute_target_gives_its_path():
    answers = run(
        talk(
            echo, head("GET", "http://other.example:80/p/q?r"), head("GET", "http://other.example")
        )
    )
    assert [a[2] for a in answers] == [b"GET /p/q?r ", b"GET /? "]


def test_100_continue_is_sent_only_when_the_body_is_wanted():
    async def work():
        async with serving(echo) as connect:
            reader, writer = await connect()
            writer.write(head("PUT", "/", "Content-Length: 3", "Expect: 100-continue"))
            assert (await read_answer(reader))[0] == 100
            writer.write(b"abc")
            assert (await read_answer(reader))[2] == b"PUT /? abc"
            # a client that does not wait gets no 100 and keeps its connection
            writer.write(head("PUT", "/", "Content-Length: 3", "Expect: 100-continue") + b"abc")
            status, headers, _ = await read_answer(reader)
            assert (status, headers.get("connection")) == (200, None)

        async def refuse(request: Request) -> Response:
            return Response(413, [], b"no")

        async with serving(refuse) as connect:
            reader, writer = await connect()
            writer.write(head("PUT", "/", "Content-Length: 3", "Expect: 100-continue"))
            status, headers, _ = await read_answer(reader)
            assert (status, headers["connection"]) == (413, "close")

    run(work())


def test_pipelined_requests_are_answered_in_order_one_at_a_time():
    active = 0

    async def handler(request: Request) -> Response:
        nonlocal active
        active += 1
        assert active == 1
        await asyncio.sleep(0)
        active -= 1
        return Response(200, [], request.path.encode())

    async def work():
        async with serving(handler) as connect:
            reader, writer = await connect()
            writer.write(b"".join(head("GET", f"/{i}") for i in range(200)))
            return [(await read_answer(reader))[2] for _ in range(200)]

    assert run(work()) == [f"/{i}".encode() for i in range(200)]


def test_pipelined_bodies_are_not_buffered_without_bound():
    """A client that sends request after request while the first is at work is paused."""

    async def work():
        gate = asyncio.Event()

        async def handler(request: Request) -> Response:
            await gate.wait()
            return await echo(request)

        async with serving(handler) as connect:
            _, writer = await connect()
            message = head("PUT", "/", "Content-Length: 100000") + b"x" * 100_000
            tracemalloc.start()
            sent = 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    for _ in range(1000):
                        writer.write(message)
                        await writer.drain()
                        sent += 1
            connection = next(iter(connect.server.connections))
            held = sum(r.body.buffered for r in connection._queue)
            tracemalloc.stop()
            assert sent < 1000
            assert held < 4 * limits.BODY_BUFFER_HIGH_BYTES
            gate.set()

    run(work())


def test_an_upload_faster_than_its_handler_is_paused():
    async def work():
        gate = asyncio.Event()
        got = 0

        async def handler(request: Request) -> Response:
            nonlocal got
            await gate.wait()
            async for chunk in request.body:
                got += len(chunk)
            return Response(201)

        async with serving(handler) as connect:
            reader, writer = await connect()
            total = 40 << 20
            writer.write(head("PUT", "/", f"Content-Length: {total}"))

            async def send():
                for _ in range(40):
                    writer.write(b"x" * (1 << 20))
                    await writer.drain()

            sender = asyncio.create_task(send())
            await asyncio.sleep(0.1)
            connection = next(iter(connect.server.connections))
            assert connection._incoming.body.buffered < 2 * limits.BODY_BUFFER_HIGH_BYTES
            assert not sender.done()
            gate.set()
            await sender
            assert (await read_answer(reader))[0] == 201
            assert got == total

    run(work())


def test_a_slow_reader_holds_back_the_body():
    async def work():
        made = 0

        async def handler(request: Request) -> Response:
            async def body():
                nonlocal made
                for _ in range(200):
                    made += 1
                    yield b"x" * (1 << 20)

            return Response(200, [], body(), length=200 << 20)

        async with serving(handler) as connect:
            reader, writer = await connect()
            writer.transport.pause_reading()
            writer.write(head())
            await asyncio.sleep(0.2)
            assert made < 30
            writer.transport.resume_reading()
            _, _, body = await read_answer(reader)
            assert len(body) == 200 << 20

    run(work())


def test_an_unread_small_body_is_swallowed_and_the_connection_kept():
    async def ignore(request: Request) -> Response:
        return Response(403, [], b"no")

    big = head("PUT", "/", "Content-Length: 1000") + b"x" * 1000
    answers = run(talk(ignore, big, head()))
    assert [a[0] for a in answers] == [403, 403]


def test_a_refused_large_body_still_lets_the_client_read_the_answer():
    """The answer is not lost to a reset while the client is busy sending 20 MB."""

    async def refuse(request: Request) -> Response:
        return Response(413, [], b"too large")

    async def work():
        async with serving(refuse) as connect:
            reader, writer = await connect()
            writer.write(head("PUT", "/", f"Content-Length: {20 << 20}"))
            for _ in range(20):
                writer.write(b"x" * (1 << 20))
                await writer.drain()
            status, headers, body = await read_answer(reader)
            assert (status, body, headers["connection"]) == (413, b"too large", "close")
            assert await reader.read() == b""

    run(work())


def test_a_client_that_leaves_in_mid_body_is_seen():
    async def work():
        seen = asyncio.Event()

        async def handler(request: Request) -> Response:
            try:
                return await echo(request)
            except BodyTruncated:
                seen.set()
                raise

        async with serving(handler) as connect:
            _, writer = await connect()
            writer.write(head("PUT", "/", "Content-Length: 100") + b"half")
            await asyncio.sleep(0.02)
            writer.close()
            await asyncio.wait_for(seen.wait(), 5)

    run(work())


def test_a_client_that_leaves_while_it_is_served_cancels_the_handler():
    async def work():
        cancelled = asyncio.Event()

        async def handler(request: Request) -> Response:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

        async with serving(handler) as connect:
            _, writer = await connect()
            writer.write(head())
            await asyncio.sleep(0.02)
            # a reset, not a half-close: only then nobody can be waiting for the answer
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            await asyncio.wait_for(cancelled.wait(), 5)

    run(work())


def test_half_close_is_answered_and_a_cut_body_is_not_taken_as_whole():
    async def work():
        async with serving(echo) as connect:
            reader, writer = await connect()
            writer.write(head("PUT", "/", "Content-Length: 3") + b"abc")
            writer.write_eof()
            status, _, body = await read_answer(reader)
            assert (status, body) == (200, b"PUT /? abc")
            assert await reader.read() == b""

        async def careful(request: Request) -> Response:
            try:
                return await echo(request)
            except BodyTruncated:
                return Response(400, [], b"cut")

        async with serving(careful) as connect:
            reader, writer = await connect()
            writer.write(head("PUT", "/", "Content-Length: 9") + b"abc")
            writer.write_eof()
            assert (await read_answer(reader))[0] == 400

    run(work())


def test_a_body_that_fails_or_ends_short_cuts_the_connection(caplog):
    async def failing(request: Request) -> Response:
        async def body():
            yield b"part"
            raise Conflict("SegmentChanged", "gone")

        return Response(200, [], body(), length=10)

    async def short(request: Request) -> Response:
        async def body():
            yield b"part"

        return Response(200, [], body(), length=10)

    async def work(handler):
        async with serving(handler) as connect:
            reader, writer = await connect()
            writer.write(head())
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await read_answer(reader)

    for handler in (failing, short):
        run(work(handler))
    assert "Traceback" not in caplog.text


def test_a_failing_handler_closes_the_connection(caplog):
    async def handler(request: Request) -> Response:
        raise ZeroDivisionError

    async def work():
        async with serving(handler) as connect:
            reader, writer = await connect()
            writer.write(head())
            assert await reader.read() == b""

    run(work())
    assert "request handler failed" in caplog.text


def test_a_line_break_in_a_response_header_is_never_sent():
    async def work(name, value):
        async def handler(request: Request) -> Response:
            return Response(200, [(name, value)], b"x")

        async with serving(handler) as connect:
            reader, writer = await connect()
            writer.write(head())
            assert await reader.read() == b""

    for value in ("a\r\nX: y", "a\nb", "a\rb"):
        run(work("X-A", value))


def test_a_hundred_thousand_paths_leave_no_memory_behind():
    """Nothing in the engine grows with the number of different requests."""

    async def handler(request: Request) -> Response:
        return Response(204)

    async def work():
        async with serving(handler) as connect:
            reader, writer = await connect()

            async def burst(start, count):
                for offset in range(start, start + count, 500):
                    writer.write(
                        b"".join(
                            head("GET", f"/v1/{i:x}?q={i}") for i in range(offset, offset + 500)
                        )
                    )
                    for _ in range(500):
                        await reader.readuntil(b"\r\n\r\n")

            await burst(0, 5_000)
            tracemalloc.start()
            try:
                before = tracemalloc.get_traced_memory()[0]
                await burst(1_000_000, 10_000)
                after = tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()
            assert after - before < 200_000
            await burst(2_000_000, 85_000)

    run(work())


def test_stop_lets_running_requests_finish():
    async def work():
        gate = asyncio.Event()

        async def handler(request: Request) -> Response:
            await gate.wait()
            return Response(200, [], b"done")

        server = HttpServer(handler)
        port = await server.listen("127.0.0.1", 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head())
        await asyncio.sleep(0.02)
        stopping = asyncio.create_task(server.stop(5))
        await asyncio.sleep(0.02)
        gate.set()
        status, headers, _ = await read_answer(reader)
        assert (status, headers["connection"]) == (200, "close")
        await stopping
        writer.close()

    run(work())


def test_a_body_limit_is_enforced():
    async def handler(request: Request) -> Response:
        try:
            return Response(200, [], await request.body.read_all(10))
        except Exception as error:  # the engine closes on it; here it is shown
            return Response(413, [], error.code.encode())

    answers = run(
        talk(
            handler,
            head("PUT", "/", "Content-Length: 10") + b"x" * 10,
            head("PUT", "/", "Content-Length: 11") + b"x" * 11,
            head("PUT", "/", "Transfer-Encoding: chunked")
            + b"b\r\n"
            + b"x" * 11
            + b"\r\n0\r\n\r\n",
        )
    )
    assert [a[0] for a in answers] == [200, 413, 413]


def test_idle_connections_go_and_busy_ones_stay():
    async def work():
        gate = asyncio.Event()

        async def handler(request: Request) -> Response:
            await gate.wait()
            return Response(200, [], b"done")

        async with serving(handler) as connect:
            idle, _ = await connect()
            half, half_writer = await connect()
            busy, busy_writer = await connect()
            half_writer.write(b"GET / HTTP/1.1\r\nHos")
            busy_writer.write(head())
            await asyncio.sleep(0.02)
            now = asyncio.get_running_loop().time()
            for connection in list(connect.server.connections):
                connection.sweep(now + limits.HEADER_TIMEOUT_S - 1)
            assert len(connect.server.connections) == 3
            for connection in list(connect.server.connections):
                connection.sweep(now + limits.HEADER_TIMEOUT_S + 1)
            assert await idle.read() == b""
            assert await half.read() == b""
            gate.set()
            assert (await read_answer(busy))[2] == b"done"
            for connection in list(connect.server.connections):
                connection.sweep(asyncio.get_running_loop().time() + limits.IDLE_TIMEOUT_S + 1)
            assert await busy.read() == b""

    run(work())
