"""NBD over a real socket: requests that tools do not make, limits, and what becomes of clients that go away."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from blockd.export import Export
from blockd.nbd import transmission, wire
from blockd.nbd.negotiation import ALLOCATION, DIFFERENCE
from blockd.nbd.server import NbdServer
from blockd.nbd.wire import Chunk, Command, Error, Flag, Option, Reply
from blockd.port import Limits
from tests.unit.blockd.nbd_client import NbdClient, queries, text
from volume.memory import MemoryVolumes
from volume.port import Disk

SIZE = 8 << 20


class Site:
    """One volume `v` with a snapshot `s` (its first 4096 bytes are ones), exported as `v`."""

    def __init__(self, root: Path) -> None:
        self.volumes = MemoryVolumes(lambda: 0)
        self.server = NbdServer(root)
        self.export: Export
        self.path: Path
        self.disk: Disk

    async def start(self, *, read_only: bool = False) -> None:
        await self.volumes.create("v", SIZE)
        self.disk = await self.volumes.attach("v", "test")
        await self.disk.write(0, b"\1" * 4096)
        await self.disk.flush()
        snapshot = await self.volumes.snapshot("v", "s")
        if read_only:
            self.disk = await self.volumes.view("v", snapshot_id="s")
        self.export = Export("v", "v", self.disk, snapshots={"s": snapshot.position})
        self.path = await self.server.add(self.export)

    async def client(self, *, extended: bool = False, structured: bool = True) -> NbdClient:
        client = await NbdClient.connect(self.path)
        await client.go("v", extended=extended, structured=structured)
        return client


def on_site(
    root: Path, work: Callable[[Site], Awaitable[None]], *, read_only: bool = False
) -> None:
    async def body() -> None:
        site = Site(root)
        await site.start(read_only=read_only)
        async with asyncio.timeout(30):
            await work(site)
            await site.server.close()

    asyncio.run(body())


@pytest.mark.parametrize("extended", [False, True])
def test_data_comes_back_with_both_kinds_of_headers(tmp_path: Path, extended: bool) -> None:
    """Unaligned, through every command; holes come as holes."""

    async def work(site: Site) -> None:
        client = await site.client(extended=extended)
        assert (await client.write(1000, b"abc" * 500, Flag.FUA)).error == 0
        assert await client.read(999, 1502) == b"\1" + b"abc" * 500 + b"\1"
        hole = await client.ask(Command.READ, 1 << 20, 4096)
        assert [kind for kind, _ in hole.chunks] == [Chunk.OFFSET_HOLE]
        assert (await client.ask(Command.WRITE_ZEROES, 0, 2048)).error == 0
        assert (await client.ask(Command.TRIM, 2048, 512, flags=Flag.FUA)).error == 0
        assert await client.read(0, 2560) == bytes(2560)
        assert (await client.ask(Command.CACHE, 0, SIZE)).error == 0
        assert (await client.ask(Command.FLUSH)).error == 0
        client.send(Command.DISC)
        assert await client.gone()

    on_site(tmp_path, work)


def test_simple_replies_serve_old_clients(tmp_path: Path) -> None:
    """Success and failure are sixteen bytes, followed by data."""

    async def work(site: Site) -> None:
        client = await site.client(structured=False)
        for offset, wanted in ((0, Error.OK), (SIZE, Error.EINVAL)):
            cookie = client.send(Command.READ, offset, 16)
            head = await client.reader.readexactly(wire.SIMPLE_REPLY.size)
            assert wire.SIMPLE_REPLY.unpack(head) == (wire.SIMPLE_REPLY_MAGIC, wanted, cookie)
            if wanted == Error.OK:
                assert await client.reader.readexactly(16) == b"\1" * 16
        client.close()

    on_site(tmp_path, work)


@pytest.mark.parametrize(
    ("command", "offset", "length", "flags", "wanted"),
    [
        (Command.READ, SIZE - 10, 11, 0, Error.EINVAL),
        (Command.READ, 1 << 63, 11, 0, Error.EINVAL),
        (Command.READ, 0, 0, 0, Error.EINVAL),
        (Command.READ, 0, 16, Flag.NO_HOLE, Error.EINVAL),
        (Command.FLUSH, 0, 0, Flag.FUA, Error.OK),
        (Command.TRIM, SIZE, 1, 0, Error.ENOSPC),
        (Command.WRITE_ZEROES, SIZE - 1, 2, 0, Error.ENOSPC),
        (Command.WRITE_ZEROES, 0, 512, Flag.FAST_ZERO | Flag.NO_HOLE, Error.ENOTSUP),
        (Command.FLUSH, 0, 1, 0, Error.EINVAL),
        (Command.BLOCK_STATUS, 0, 512, 0, Error.EINVAL),
        (Command.DISC + 40, 0, 1, 0, Error.EINVAL),
        (Command.CACHE, 0, SIZE + 1, 0, Error.EINVAL),
        (Command.TRIM, 0, 512, 1 << 9, Error.EINVAL),
    ],
)
def test_bad_requests_are_refused_and_the_session_goes_on(
    tmp_path: Path, command: int, offset: int, length: int, flags: int, wanted: int
) -> None:
    """With the error number that the protocol gives."""

    async def work(site: Site) -> None:
        client = await site.client()
        assert (await client.ask(command, offset, length, flags=flags)).error == wanted
        assert await client.read(0, 4) == b"\1\1\1\1"
        client.close()

    on_site(tmp_path, work)


def test_a_write_beyond_the_end_is_taken_off_the_wire(tmp_path: Path) -> None:
    """Its payload is not read as the next request."""

    async def work(site: Site) -> None:
        client = await site.client()
        assert (await client.write(SIZE - 2, b"abcd")).error == Error.ENOSPC
        assert await client.read(0, 2) == b"\1\1"
        client.close()

    on_site(tmp_path, work)


def test_reads_beyond_the_limit_are_refused_and_such_writes_end_the_session(tmp_path: Path) -> None:
    """Nobody makes the server allocate more than a payload."""

    async def work(site: Site) -> None:
        await site.disk.resize(1 << 30)
        client = await site.client()
        too_much = wire.PAYLOAD_BYTES_MAX + 1
        assert (await client.ask(Command.READ, 0, too_much)).error == Error.EOVERFLOW
        client.send(Command.WRITE, 0, too_much)
        assert await client.gone()

    on_site(tmp_path, work)


def test_a_wrong_magic_or_half_a_header_ends_the_session(tmp_path: Path) -> None:
    """And no other one."""

    async def work(site: Site) -> None:
        good = await site.client()
        bad = await site.client()
        bad.writer.write(b"\0" * wire.REQUEST.size)
        assert await bad.gone()
        half = await site.client()
        half.writer.write(struct.pack(">I", wire.REQUEST_MAGIC))
        half.writer.write_eof()
        assert await half.gone()
        assert await good.read(0, 1) == b"\1"
        good.close()

    on_site(tmp_path, work)


def test_a_read_only_export_takes_nothing(tmp_path: Path) -> None:
    """Writes, zeroes and trims are EPERM; flush is allowed."""

    async def work(site: Site) -> None:
        client = await site.client()
        assert (await client.write(0, b"x")).error == Error.EPERM
        for command in (Command.TRIM, Command.WRITE_ZEROES):
            assert (await client.ask(command, 0, 512)).error == Error.EPERM
        assert (await client.ask(Command.FLUSH)).error == 0
        assert await client.read(0, 1) == b"\1"
        client.close()

    on_site(tmp_path, work, read_only=True)


@pytest.mark.parametrize("extended", [False, True])
def test_block_status_tells_holes_and_changes(tmp_path: Path, extended: bool) -> None:
    """For each negotiated context; with REQ_ONE one run."""

    async def work(site: Site) -> None:
        await site.disk.write(8192, b"\2" * 4096)
        client = await NbdClient.connect(site.path)
        option = Option.EXTENDED_HEADERS if extended else Option.STRUCTURED_REPLY
        await client.option(option)
        names = (ALLOCATION, DIFFERENCE + "s", "unknown:x")
        answers = await client.option(Option.SET_META_CONTEXT, queries("v", *names))
        told = {answer.data[4:].decode(): answer.data[:4] for answer in answers[:-1]}
        assert list(told) == [ALLOCATION, DIFFERENCE + "s"]
        await client.option(Option.GO, text("v") + b"\0\0")
        client.structured, client.extended = True, extended
        runs: dict[str, list[tuple[int, int]]] = {}
        for flags in (0, Flag.REQ_ONE):
            reply = await client.ask(Command.BLOCK_STATUS, 0, 1 << 20, flags=flags)
            for name, (_, payload) in zip(told, reply.chunks, strict=True):
                assert payload[:4] == told[name]
                pair = ">QQ" if extended else ">II"
                found = list(struct.iter_unpack(pair, payload[8 if extended else 4 :]))
                runs.setdefault(name, found)
                assert flags == 0 or found == runs[name][:1]
        hole = wire.STATE_HOLE | wire.STATE_ZERO
        rest = (1 << 20) - 12288
        assert runs[ALLOCATION] == [(4096, 0), (4096, hole), (4096, 0), (rest, hole)]
        assert runs[DIFFERENCE + "s"] == [(8192, 0), (4096, wire.STATE_DIRTY), (rest, 0)]
        client.close()

    on_site(tmp_path, work)


def test_contexts_are_listed_by_name_and_by_namespace(tmp_path: Path) -> None:
    """A list without queries names all."""

    async def work(site: Site) -> None:
        client = await NbdClient.connect(site.path)
        for asked, wanted in (
            ((), [ALLOCATION, DIFFERENCE + "s"]),
            (("base:",), [ALLOCATION]),
            ((DIFFERENCE + "s",), [DIFFERENCE + "s"]),
            (("other:",), []),
        ):
            answers = await client.option(Option.LIST_META_CONTEXT, queries("v", *asked))
            assert [answer.data[4:].decode() for answer in answers[:-1]] == wanted
        (answer,) = await client.option(Option.SET_META_CONTEXT, queries("v", ALLOCATION))
        assert answer.kind == Reply.ERR_INVALID  # before structured replies
        client.close()

    on_site(tmp_path, work)


def test_an_export_socket_knows_no_other_export(tmp_path: Path) -> None:
    """Neither by name nor in its list."""

    async def work(site: Site) -> None:
        await site.volumes.create("w", SIZE)
        other = await site.volumes.attach("w", "test")
        await site.server.add(Export("w", "w", other))
        client = await NbdClient.connect(site.path)
        listed = await client.option(Option.LIST)
        assert [answer.data[4:] for answer in listed[:-1]] == [b"v"]
        (refused,) = await client.option(Option.INFO, text("w") + b"\0\0")
        assert refused.kind == Reply.ERR_UNKNOWN
        client.send_option(Option.EXPORT_NAME, b"w")
        assert await client.gone()

    on_site(tmp_path, work)


def test_a_client_that_goes_away_leaves_whole_writes(tmp_path: Path) -> None:
    """What was received in full is written, what was not is not; the export can be removed at once."""

    async def work(site: Site) -> None:
        client = await site.client()
        for number in range(64):
            client.send(Command.WRITE, 65536 + number * 4096, 4096, bytes([number + 1]) * 4096)
        client.send(Command.WRITE, 4 << 20, 4096, b"half")
        await client.writer.drain()
        client.writer.transport.abort()
        await site.server.remove("v")
        data = await site.disk.read(65536, 64 * 4096)
        for number in range(64):
            block = data[number * 4096 : number * 4096 + 4096]
            assert block in {bytes(4096), bytes([number + 1]) * 4096}
        assert await site.disk.read(4 << 20, 4096) == bytes(4096)

    on_site(tmp_path, work)


def test_requests_are_not_taken_without_end(tmp_path: Path) -> None:
    """A client that asks and does not read is not read from; once it reads, everything is answered."""

    async def work(site: Site) -> None:
        client = await site.client()
        site.export.hold()
        count = 3 * transmission.REQUESTS_MAX
        cookies = {client.send(Command.WRITE, n * 512, 512, bytes(512)) for n in range(count)}
        for _ in range(200):
            await asyncio.sleep(0)
        (session,) = site.server._sessions["v"]
        assert len(session._running) <= transmission.REQUESTS_MAX
        site.export.release()
        answered = {(await client.receive())[0] for _ in range(count)}
        assert answered == cookies
        client.close()

    on_site(tmp_path, work)


def test_a_removed_export_cuts_its_clients_off(tmp_path: Path) -> None:
    """A write that was held is answered or not, and never later."""

    async def work(site: Site) -> None:
        client = await site.client()
        await site.server.remove("v")
        assert await client.gone()
        with pytest.raises((FileNotFoundError, ConnectionRefusedError)):
            await NbdClient.connect(site.path)

    on_site(tmp_path, work)


def test_limits_slow_requests_down(tmp_path: Path) -> None:
    """All connections of an attachment share them."""

    async def work(site: Site) -> None:
        site.export.limit(Limits(write_iops=50))
        loop = asyncio.get_running_loop()
        clients = [await site.client(), await site.client()]
        began = loop.time()
        for number in range(60):
            await clients[number % 2].write(0, b"x")
        assert loop.time() - began > 0.15  # fifty at once, ten more at fifty a second
        for client in clients:
            client.close()

    on_site(tmp_path, work)
