"""Attacks on the links between nodes: strangers, removed nodes, other clouds, guests who want more."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import uvloop

from core import frame as framing
from core.errors import Conflict, Refused, Unavailable
from core.frame import Frame
from core.installation import Installation
from core.link import FrameServer, Link, ServerConnection
from core.real import RealEnv
from core.trust import AUTHORITY, CERTIFICATE, KEY, Trust
from noded import guest, keeper, wire
from noded.server import NodeServer
from noded.spread import Spread, ask
from noded.token import decode_token
from ring.epoch import Epoch
from ring.store import RingStore
from tests.unit.noded.cluster import add_node, application, make_keeper

CLUSTER_KEY = b"k" * 32


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class Pair:
    """A keeper and a node that has joined; `serve` gives an echo server with the keeper's identity."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.alpha = make_keeper(root / "alpha", f"127.0.0.1:{self.port}")
        self.beta = add_node(self.alpha, root / "beta", "beta", f"127.0.0.1:{free_port()}")
        self.address = f"tls:127.0.0.1:{self.port}"

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[FrameServer]:
        def echo(connection: ServerConnection, call: Frame) -> None:
            connection.reply(call, 0, call.head, call.body)

        server = FrameServer(RealEnv(), CLUSTER_KEY, echo, trust=Trust(self.alpha.identity))
        await server.listen(self.address)
        try:
            yield server
        finally:
            server.close()
            await asyncio.sleep(0)

    @contextlib.asynccontextmanager
    async def link(
        self, installation: Installation, key: bytes = CLUSTER_KEY
    ) -> AsyncIterator[Link]:
        link = Link(RealEnv(), self.address, key, trust=Trust(installation.identity))
        try:
            yield link
        finally:
            link.close()
            await asyncio.sleep(0.01)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.fixture(params=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    return uvloop.run if request.param == "uvloop" else asyncio.run


def test_nodes_of_one_cluster_talk_over_tls_1_3(pair: Pair, run) -> None:
    """Frames of every size, both ways, and each side knows the other's name."""

    async def work() -> None:
        async with pair.serve() as server, pair.link(pair.beta) as link:
            assert await link.wait_up(5)
            for size in (0, 1, 100_000, 5_000_000):
                answer = await link.ask(7, 3, b"head", bytes(size))
                assert (answer.status, answer.head, bytes(answer.body)) == (0, b"head", bytes(size))
            (connection,) = server.connections
            assert connection.peer == "beta"
            assert connection.transport is not None
            assert connection.transport.get_extra_info("ssl_object").version() == "TLSv1.3"

    run(work())


def test_a_node_of_another_cloud_is_refused(pair: Pair, run) -> None:
    """Its certificate is of another authority, even with the right cluster key."""
    other = make_keeper(pair.root / "other")

    async def work() -> None:
        async with pair.serve() as server, pair.link(other) as link:
            assert not await link.wait_up(0.5)
            assert not server.connections

    run(work())


def test_a_node_with_the_wrong_cluster_key_is_refused(pair: Pair, run) -> None:
    """TLS does not replace the proof inside."""

    async def work() -> None:
        async with pair.serve(), pair.link(pair.beta, b"w" * 32) as link:
            assert not await link.wait_up(0.5)

    run(work())


def test_a_removed_node_is_cut_off_and_stays_out(pair: Pair, run) -> None:
    """Its open link too, as soon as the list is here."""

    async def work() -> None:
        async with pair.serve() as server, pair.link(pair.beta) as link:
            assert await link.wait_up(5)
            keeper.remove(pair.alpha, "beta", lost=True)
            server.drop_removed()
            assert (await link.ask(1, 0, b"")).status != 0
            assert not await link.wait_up(0.5)

    run(work())


def test_a_node_does_not_call_what_was_removed(pair: Pair, run) -> None:
    """The client's side looks at the list too."""
    gamma = add_node(pair.alpha, pair.root / "gamma", "gamma", "h:9")
    keeper.remove(pair.alpha, "beta", lost=True)
    (gamma.identity / "roster.json").write_bytes((pair.alpha.identity / "roster.json").read_bytes())

    async def work() -> None:
        server = FrameServer(
            RealEnv(), CLUSTER_KEY, lambda *_: None, trust=Trust(pair.beta.identity)
        )
        await server.listen(pair.address)
        async with pair.link(gamma) as link:
            assert not await link.wait_up(0.5)
        server.close()

    run(work())


def context(pair: Pair, *, certificate: bool) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.load_verify_locations(pair.alpha.identity / AUTHORITY)
    if certificate:
        made.load_cert_chain(pair.beta.identity / CERTIFICATE, pair.beta.identity / KEY)
    return made


async def first_bytes(pair: Pair, tls: ssl.SSLContext | None) -> bytes:
    """What a server says to a new connection; b"" when it hangs up."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", pair.port, ssl=tls)
    except (ssl.SSLError, ConnectionError):
        return b""
    try:
        async with asyncio.timeout(1):
            return await reader.read(5)
    except (ssl.SSLError, ConnectionError, TimeoutError):
        return b""
    finally:
        writer.close()


def test_older_tls_no_tls_and_no_certificate_get_nothing(pair: Pair) -> None:
    """Not even the first byte of the handshake inside."""
    old = context(pair, certificate=True)
    old.maximum_version = ssl.TLSVersion.TLSv1_2

    async def work() -> None:
        async with pair.serve():
            assert await first_bytes(pair, context(pair, certificate=True)) == framing.MAGIC
            assert await first_bytes(pair, old) == b""
            assert await first_bytes(pair, context(pair, certificate=False)) == b""
            assert await first_bytes(pair, None) == b""

    asyncio.run(work())


@contextlib.asynccontextmanager
async def noded(installation: Installation) -> AsyncIterator[NodeServer]:
    server = NodeServer(RealEnv(), installation, Trust(installation.identity), lambda: None)
    await server.listen()
    try:
        yield server
    finally:
        server.frames.close()
        await asyncio.sleep(0.01)


def test_a_guest_may_ask_for_the_authority_and_join_and_nothing_else(pair: Pair) -> None:
    """Rings, lists and tokens are for nodes."""

    async def work() -> None:
        open_context = context(pair, certificate=False)
        async with noded(pair.alpha):
            for operation in (
                wire.STANDING,
                wire.EPOCH,
                wire.ROSTER,
                wire.TOKEN,
                wire.REPAIR,
                99,
            ):
                reply = await guest._call(
                    f"127.0.0.1:{pair.port}", operation, wire.encode(1), open_context
                )
                assert (reply.status, reply.body) == (wire.BAD, b"")

    asyncio.run(work())


def test_a_guest_cannot_send_much(pair: Pair) -> None:
    """A frame that announces megabytes is not waited for."""

    async def work() -> None:
        async with noded(pair.alpha):
            with pytest.raises(Unavailable):
                await guest._call(
                    f"127.0.0.1:{pair.port}",
                    wire.JOIN,
                    bytes(1 << 20),
                    context(pair, certificate=False),
                )

    asyncio.run(work())


def test_a_machine_joins_through_any_node_and_only_with_a_token(pair: Pair) -> None:
    """The keeper answers, whichever node was asked; a wrong secret and a wrong cloud are refused."""

    async def work() -> None:
        machine = Installation(pair.root / "gamma")
        beta_address = f"{pair.beta.config().cluster_listen}"
        env = RealEnv()
        async with noded(pair.alpha), noded(pair.beta):
            text = keeper.make_token(pair.alpha, env.wall_us())
            fingerprint, _ = decode_token(text)
            pem = await guest.fetch_authority(beta_address, fingerprint)
            with pytest.raises(Refused, match="not the one of the token"):
                await guest.fetch_authority(beta_address, bytes(32))
            wanted = application(machine, "gamma", text, "h:9")
            with pytest.raises(Conflict, match="unknown"):
                await guest.join(beta_address, pem, _with_secret(wanted, b"guess"))
            welcome = await guest.join(beta_address, pem, wanted)
            assert b"BEGIN CERTIFICATE" in welcome.certificate
            with pytest.raises(Conflict, match="used"):
                await guest.join(beta_address, pem, wanted)

    asyncio.run(work())


def _with_secret(wanted: wire.Application, secret: bytes) -> wire.Application:
    import msgspec

    return msgspec.structs.replace(wanted, secret=secret)


def test_lists_and_rings_reach_every_node_that_asks(pair: Pair) -> None:
    """Once each; a forged list is not taken."""
    store = RingStore(pair.alpha.ring)
    gamma = add_node(pair.alpha, pair.root / "gamma", "gamma", f"127.0.0.1:{free_port()}")

    async def work() -> None:
        from ring.build import build_all

        trust = Trust(pair.beta.identity)
        seen: list[Epoch] = []
        async with noded(pair.alpha):
            spread = Spread(RealEnv(), pair.beta, trust, seen.append)
            assert trust.roster().member("gamma") is None
            changes = build_all(store.draft(), store.current())
            for change in changes:
                store.write(change.epoch)
            for _ in range(100):
                await spread.once()
                if trust.roster().member("gamma") and RingStore(pair.beta.ring).numbers()[-1] > 1:
                    break
                await asyncio.sleep(0.02)
            newest = RingStore(pair.beta.ring).current()
            assert newest is not None
            assert newest.number == changes[-1].epoch.number
            assert [epoch.number for epoch in seen] == [newest.number]
            assert trust.roster() == keeper.roster_of(pair.alpha)
            spread.close()
            await asyncio.sleep(0.01)

    asyncio.run(work())
    assert keeper.roster_of(gamma).version == keeper.roster_of(pair.alpha).version


def test_a_node_asks_the_keeper_for_a_token(pair: Pair) -> None:
    """Over its own link; the keeper makes it."""

    async def work() -> None:
        async with noded(pair.alpha):
            link = Link(
                RealEnv(),
                pair.address,
                pair.beta.secrets().cluster_key,
                trust=Trust(pair.beta.identity),
            )
            assert await link.wait_up(5)
            text = (await ask(link, wire.TOKEN, wire.encode(60))).decode()
            link.close()
            await asyncio.sleep(0.01)
        assert len(decode_token(text)[1]) > 16

    asyncio.run(work())
