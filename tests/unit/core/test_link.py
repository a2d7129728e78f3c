"""Links between our own processes: reconnecting, losing nothing silently, and leaving nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from core import frame as framing
from core import limits, link
from core.frame import Frame
from core.link import LOST, FrameServer, Link, ServerConnection, short_path
from core.real import RealEnv
from tests.virtual import World, run

KEY = b"the key of this installation...."
ADDRESS = "tcp:o0:7000"


def echo(connection: ServerConnection, call: Frame) -> None:
    connection.reply(call, 0, call.head, call.body)


async def serve(world: World, handler=echo, key: bytes = KEY) -> FrameServer:
    server = FrameServer(world.env(), key, handler)
    await server.listen(ADDRESS)
    return server


def test_calls_are_answered_whatever_their_size() -> None:
    """Head and body come back whole through fragments, below and above every buffer size."""

    async def work(world: World) -> None:
        await serve(world)
        client = Link(world.env(), ADDRESS, KEY)
        assert await client.wait_up(5)
        for size in (0, 1, 16_383, 65_536, 131_072, limits.FRAME_BYTES_MAX):
            body = bytes(size)
            answer = await client.ask(7, 3, b"head", body)
            assert (answer.status, answer.head, bytes(answer.body)) == (0, b"head", body)
        client.close()

    run(work)


def test_pipelined_calls_each_get_their_own_answer() -> None:
    """Answers may come in any order; each reaches its caller once."""
    held: list[tuple[ServerConnection, Frame]] = []

    def backwards(connection: ServerConnection, call: Frame) -> None:
        held.append((connection, call))
        if len(held) == 50:
            for one, frame in reversed(held):
                one.reply(frame, 0, frame.head)

    async def work(world: World) -> list[bytes]:
        await serve(world, backwards)
        client = Link(world.env(), ADDRESS, KEY)
        assert await client.wait_up(5)
        answers = await asyncio.gather(*(client.ask(1, 0, b"%d" % n) for n in range(50)))
        return [answer.head for answer in answers]

    assert run(work) == [b"%d" % n for n in range(50)]


def test_a_lost_connection_fails_every_call_at_once_and_comes_back() -> None:
    """No call waits for an answer that can never come."""

    async def work(world: World) -> None:
        server = await serve(world, lambda *_: None)
        client = Link(world.env(), ADDRESS, KEY)
        assert await client.wait_up(5)
        asking = [asyncio.ensure_future(client.ask(1, 0, b"")) for _ in range(10)]
        await asyncio.sleep(0.1)
        for connection in list(server.connections):
            connection.abort()
        assert {frame.status for frame in await asyncio.gather(*asking)} == {LOST}
        assert client._pending == {}
        assert await client.wait_up(5)

    run(work)


def test_a_dead_peer_is_reported_without_waiting() -> None:
    """While nobody listens, a call is LOST at once, and the link keeps trying."""

    async def work(world: World) -> float:
        client = Link(world.env(), ADDRESS, KEY)
        began = world.loop.now
        assert (await client.ask(1, 0, b"")).status == LOST
        assert world.loop.now == began
        await asyncio.sleep(30)
        await serve(world)
        assert await client.wait_up(2)
        return (await client.ask(1, 0, b"")).status

    assert run(work) == 0


def test_a_peer_that_accepts_and_never_answers_costs_one_connection() -> None:
    """A paused peer: each attempt gives its connection back before the next is made."""

    async def work(world: World) -> int:
        await world.loop.create_server(asyncio.Protocol, "o0", 7000)
        client = Link(world.env(), ADDRESS, KEY)
        client.start()
        await asyncio.sleep(600)
        return len(world.net._transports)

    assert run(work) <= 2


def test_a_peer_that_resets_after_the_handshake_is_not_hammered() -> None:
    """The delay between attempts grows whatever way they fail."""
    attempts: list[float] = []

    class Rude(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            attempts.append(asyncio.get_running_loop().time())
            transport.abort()  # type: ignore[attr-defined]

    async def work(world: World) -> None:
        await world.loop.create_server(Rude, "o0", 7000)
        Link(world.env(), ADDRESS, KEY).start()
        await asyncio.sleep(60)

    run(work)
    assert 60 < len(attempts) < 200


def test_a_client_that_never_proves_itself_is_cut_off() -> None:
    """Silence after the greeting ends the connection; a proven client stays."""

    async def work(world: World) -> int:
        server = await serve(world)
        await world.loop.create_connection(asyncio.Protocol, "o0", 7000)
        client = Link(world.env(), ADDRESS, KEY)
        assert await client.wait_up(5)
        assert len(server.connections) == 2
        await asyncio.sleep(link.HANDSHAKE_TIMEOUT_S + 1)
        assert client.up
        return len(server.connections)

    assert run(work) == 1


def test_the_wrong_key_never_connects() -> None:
    """Neither side talks to one that does not know the key."""

    async def work(world: World) -> bool:
        calls: list[Frame] = []
        await serve(world, lambda _, call: calls.append(call), key=b"another key")
        client = Link(world.env(), ADDRESS, KEY)
        up = await client.wait_up(20)
        assert calls == []
        return up

    assert run(work) is False


def test_nothing_is_read_after_a_wrong_proof() -> None:
    """A right proof and a call behind a wrong proof, in one packet, are not looked at."""
    calls: list[Frame] = []

    class Sly(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            nonce = framing.read_hello(data)
            good = framing.client_proof(KEY, nonce, bytes(32))
            call = Frame(1, 1, 0, 0, 0, b"", b"")
            header = framing.encode_header(call)
            self.transport.write(bytes(64) + good + header)  # type: ignore[attr-defined]

    async def work(world: World) -> None:
        await serve(world, lambda _, call: calls.append(call))
        await world.loop.create_connection(Sly, "o0", 7000)
        await asyncio.sleep(1)

    run(work)
    assert calls == []


def test_a_clogged_link_refuses_instead_of_queueing() -> None:
    """A peer that stops reading cannot make us remember more than the limit."""

    async def work(world: World) -> int:
        await serve(world)
        client = Link(world.env(), ADDRESS, KEY)
        assert await client.wait_up(5)
        world.net.block("harness", "harness")
        answers: list[int] = []
        for _ in range(100):
            client.call(1, 0, b"", bytes(limits.MIB), lambda frame: answers.append(frame.status))
        assert set(answers) == {LOST}
        return 100 - len(answers)

    assert run(work) <= link.CLOGGED_BYTES // limits.MIB + 1


def test_a_forgotten_call_leaves_nothing() -> None:
    """Rounds that end early take their calls back."""

    async def work(world: World) -> None:
        await serve(world, lambda *_: None)
        client = Link(world.env(), ADDRESS, KEY)
        assert await client.wait_up(5)
        number = client.call(1, 0, b"", b"", lambda _: None)
        client.forget(number)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.ask(1, 0, b""), 1)
        assert client._pending == {}

    run(work)


def test_a_deep_directory_fits_a_unix_socket(tmp_path) -> None:
    """sun_path holds 108 bytes; data directories may be deeper."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    address = f"unix:{deep}/objectd.sock"

    async def work() -> int:
        env = RealEnv()
        server = FrameServer(env, KEY, echo)
        await server.listen(address)
        client = Link(env, address, KEY)
        assert await client.wait_up(5)
        status = (await client.ask(1, 0, b"x")).status
        client.close()
        server.close()
        return status

    assert asyncio.run(work()) == 0
    with short_path(str(deep / "x.sock")) as path:
        assert len(path.encode()) <= link.UNIX_PATH_BYTES_MAX
