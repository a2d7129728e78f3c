from __future__ import annotations

import asyncio

import pytest

from bench.client import Failed, S3Client, SwiftClient
from bench.connection import Pool
from tests.unit.bench.serving import answer, head_of, serving


def test_connections_are_kept_and_shared_by_later_requests():
    """Twenty requests in a row need one connection, four at once need four."""
    connected = 0

    async def script(reader, writer):
        nonlocal connected
        connected += 1
        while True:
            await head_of(reader)
            writer.write(answer(b"body"))

    async def main():
        async with serving(script) as url, S3Client(url, "a", "s") as client:
            for _ in range(20):
                assert (await client.get("b", "n")).body == b"body"
            assert connected == 1
            await asyncio.gather(*(client.get("b", "n") for _ in range(4)))
            assert connected == 4
            client.disconnect()
            await client.get("b", "n")
            assert connected == 5

    asyncio.run(main())


def test_a_request_that_meets_a_closed_connection_is_sent_again():
    """A server may close an idle connection at any time; only then, and only once, is it repeated."""
    served = 0

    async def script(reader, writer):
        nonlocal served
        await head_of(reader)
        served += 1
        writer.write(answer(b"%d" % served))
        await writer.drain()
        await head_of(reader)  # taken, and left without an answer

    async def main():
        async with serving(script) as url:
            pool = Pool(url)
            assert (await pool.exchange(b"GET / HTTP/1.1\r\n\r\n")).body == b"1"
            assert (await pool.exchange(b"GET / HTTP/1.1\r\n\r\n")).body == b"2"
            pool.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "wire", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", b"nonsense\r\n\r\n"]
)
def test_a_torn_answer_is_a_failure(wire):
    """Nothing, half of it, or something else: never an answer, and never sent twice."""
    requests = 0

    async def script(reader, writer):
        nonlocal requests
        await head_of(reader)
        requests += 1
        writer.write(wire)

    async def main():
        async with serving(script) as url, S3Client(url, "a", "s") as client:
            with pytest.raises(Failed) as caught:
                await client.get("b", "n")
            assert caught.value.code == "ConnectionFailed"

    asyncio.run(main())
    assert requests == 1


def test_no_server_is_a_failure():
    """With the address in its message."""

    async def main():
        async with S3Client("http://127.0.0.1:1", "a", "s") as client:
            with pytest.raises(Failed, match=r"127\.0\.0\.1:1"):
                await client.get("b", "n")

    asyncio.run(main())


def test_only_http_endpoints_are_taken():
    """Without a scheme or with TLS."""
    for endpoint in ("127.0.0.1:8080", "https://127.0.0.1"):
        with pytest.raises(Failed):
            S3Client(endpoint, "a", "s")


@pytest.mark.parametrize("size", [None, 3_000_000])
def test_a_stream_goes_up_counted_or_chunked(size):
    """Three pieces from an asynchronous iterator arrive as they were."""
    got = []

    async def script(reader, writer):
        head = await head_of(reader)
        if size is None:
            assert b"transfer-encoding: chunked" in head
            while length := int(await reader.readline(), 16):
                got.append(await reader.readexactly(length))
                await reader.readexactly(2)
            await reader.readline()
        else:
            assert b"content-length: 3000000" in head
            got.append(await reader.readexactly(size))
        writer.write(answer(b"", "201 Created"))

    async def pieces():
        for byte in (b"a", b"b", b"c"):
            yield byte * 1_000_000

    async def main():
        async with serving(script) as url:
            pool = Pool(url)
            framing = "transfer-encoding: chunked" if size is None else f"content-length: {size}"
            head = f"PUT / HTTP/1.1\r\nhost: x\r\n{framing}\r\n\r\n".encode()
            assert (await pool.exchange(head, pieces())).status == 201
            pool.close()

    asyncio.run(main())
    assert b"".join(got) == b"a" * 1_000_000 + b"b" * 1_000_000 + b"c" * 1_000_000


def test_an_early_answer_ends_an_upload():
    """A server that refuses the body is heard, although the body would never end."""

    async def script(reader, writer):
        await head_of(reader)
        writer.write(answer(b"no", "413 Too Large", "Connection: close"))
        await writer.drain()
        while await reader.read(1 << 20):
            pass

    async def endless():
        while True:
            yield b"x" * 65536
            await asyncio.sleep(0)

    async def main():
        async with serving(script) as url, S3Client(url, "a", "s") as client:
            refused = await client.put("b", "n", endless(), size=1 << 40)
            assert (refused.status, refused.body) == (413, b"no")
            with pytest.raises(Failed, match="413 Too Large: no"):
                refused.expect()

    asyncio.run(main())


def test_a_download_comes_in_pieces_and_its_connection_is_used_again():
    """20 MB, read slowly; one that is left in the middle closes its connection instead."""
    connected = 0
    body = bytes(range(256)) * 78125

    async def script(reader, writer):
        nonlocal connected
        connected += 1
        while True:
            await head_of(reader)
            writer.write(answer(body))
            await writer.drain()

    async def main():
        async with serving(script) as url, S3Client(url, "a", "s") as client:
            async with client.stream("b", "n") as download:
                assert (download.status, download.length) == (200, len(body))
                got = bytearray()
                async for piece in download:
                    got += piece
                    await asyncio.sleep(0)
            assert bytes(got) == body
            await client.get("b", "n")
            assert connected == 1
            async with client.stream("b", "n") as download:
                async for _ in download:
                    break
            await client.get("b", "n")
            assert connected == 2

    asyncio.run(main())


def test_swift_logs_in_and_asks_below_its_storage_url():
    """The token goes with every request, names are quoted."""
    heads = []

    async def script(reader, writer):
        while True:
            head = (await head_of(reader)).decode()
            heads.append(head)
            host = head.partition("host: ")[2].partition("\r\n")[0]
            if head.startswith("GET /auth"):
                storage = f"X-Storage-Url: http://{host}/v1/AUTH_a"
                writer.write(answer(b"", "200 OK", storage, "X-Auth-Token: tk1"))
            else:
                writer.write(answer(b'[{"name": "x", "bytes": 5}]'))

    async def main():
        async with serving(script) as url, SwiftClient(f"{url}/auth/v1.0", "u", "k") as client:
            await client.get("c", "a b/ü")
            assert [tuple(entry) for entry in await client.list("c", prefix="p&")] == [("x", 5)]

    asyncio.run(main())
    assert "x-auth-user: u\r\nx-auth-key: k" in heads[0]
    assert heads[1].startswith("GET /v1/AUTH_a/c/a%20b/%C3%BC HTTP/1.1")
    assert "x-auth-token: tk1" in heads[1]
    assert heads[2].startswith("GET /v1/AUTH_a/c?format=json&prefix=p%26 HTTP/1.1")


def test_s3_lists_page_after_page():
    """A full page is followed by the next, after its last name."""
    namespace = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    heads = []

    def page(names):
        rows = "".join(f"<Contents><Key>{name}</Key><Size>1</Size></Contents>" for name in names)
        return f"<ListBucketResult {namespace}>{rows}</ListBucketResult>".encode()

    names = [f"{number:04}" for number in range(1000)]

    async def script(reader, writer):
        while True:
            head = (await head_of(reader)).decode()
            heads.append(head)
            writer.write(answer(page(["a&amp;b"] if "start-after" in head else names)))

    async def main():
        async with serving(script) as url, S3Client(url, "a", "s") as client:
            found = [entry.name for entry in await client.list("b")]
            assert found == [*names, "a&b"]

    asyncio.run(main())
    assert "start-after=0999" in heads[1]
