"""Calls between services of a cloud: tokens that any of them verifies, and a client that bounds what it waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from core import keyring as keys
from core.api.client import Client, Reply
from core.authenticator import Authenticator
from core.errors import Unavailable
from core.http import HttpServer, Request, Response
from core.keyring import Keyring
from core.revocation import RevocationList
from core.service_identity import PROJECT_ID, ServiceIdentity
from tests.identity_site import MovableEnv


def test_a_service_token_holds_and_is_renewed(tmp_path: Path) -> None:
    """It verifies like any other, for a project of its own; before it ends there is a new one."""
    env = MovableEnv()
    keys.create(tmp_path, env)
    keyring = Keyring(tmp_path)
    identity = ServiceIdentity(env, keyring)
    with pytest.raises(Unavailable):
        identity.token()
    keyring.load()
    first = identity.token()
    verifier = Authenticator(env, keyring, RevocationList())
    caller = verifier.verify(first)
    assert caller.project_id == PROJECT_ID
    assert {"service", "admin"} <= set(caller.roles)
    assert identity.token() == first
    env.advance(301)
    second = identity.token()
    assert second != first
    assert verifier.verify(first) == caller  # what is under way goes on
    keys.rotate(tmp_path, env)
    keyring.load()
    assert identity.token() != second


def exchange(
    handler: Callable[[Request], Awaitable[Response]], method: str, path: str, body: object = None
) -> Reply:
    """One call against a server of our own."""

    async def both() -> Reply:
        server = HttpServer(handler)
        port = await server.listen("127.0.0.1", 0)
        try:
            return await Client(f"http://127.0.0.1:{port}/api").call(method, path, body)
        finally:
            await server.stop(0.1)

    return asyncio.run(both())


def test_bodies_go_both_ways() -> None:
    """JSON and bytes, with a length or in chunks; any status is an answer."""

    async def echo(request: Request) -> Response:
        data = await request.body.read_all(1 << 22)

        async def pieces():
            yield data[:10]
            yield data[10:]

        if request.method == "PUT":
            return Response(201, [("X-Path", request.path)], pieces())
        return Response(404, [], data)

    reply = exchange(echo, "PUT", "/one?x=1", b"z" * 1_000_000)
    assert (reply.status, reply.headers["x-path"], len(reply.body)) == (201, "/api/one", 1_000_000)
    reply = exchange(echo, "POST", "/two", {"a": 1})
    assert (reply.status, reply.json()) == (404, {"a": 1})
    assert exchange(echo, "HEAD", "/three").body == b""
    assert exchange(echo, "DELETE", "/four").json() is None


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_half_an_answer_is_none(said: bytes) -> None:
    """Unavailable, as is nobody at all."""

    async def both() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(said)
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client(f"http://127.0.0.1:{port}")
        with pytest.raises(Unavailable):
            await client.call("GET", "/")
        server.close()
        await server.wait_closed()
        with pytest.raises(Unavailable):
            await client.call("GET", "/")

    asyncio.run(both())


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    """Longer than was said."""

    async def both() -> None:
        held: list[asyncio.StreamWriter] = []

        async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            held.append(writer)
            await reader.read()

        server = await asyncio.start_server(silence, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable):
            await Client(f"http://127.0.0.1:{port}").call("GET", "/", timeout_s=0.05)
        for writer in held:
            writer.close()
        server.close()
        await server.wait_closed()

    asyncio.run(both())
