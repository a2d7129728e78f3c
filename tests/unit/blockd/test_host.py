"""What a node serves: names, sharing, cuts through several volumes, and coming back after a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from blockd import wire
from blockd.calls import Calls, DaemonExports
from blockd.host import Host
from blockd.nbd.server import NbdServer
from blockd.nbd.wire import Command, Error
from blockd.port import Limits
from blockd.wire import OpenCall
from core.errors import Conflict, NotFound, Refused, RingstackError, Unavailable
from core.frame import Frame
from core.link import Link
from core.real import RealEnv
from tests.unit.blockd.nbd_client import NbdClient
from volume.memory import MemoryVolumes

KEY = b"k" * 32
MIB = 1 << 20


class Node:
    """A host over volumes that outlive it, as those on the ring do."""

    def __init__(self, root: Path, volumes: MemoryVolumes) -> None:
        self.root = root
        self.volumes = volumes
        self.server = NbdServer(root / "nbd")
        self.host = Host(volumes, self.server, root / "exports.json", owner="n1/blockd", key=b"key")

    async def client(self, name: str) -> NbdClient:
        client = await NbdClient.connect(self.server.socket(name))
        await client.go(name)
        return client


def on_node(root: Path, work: Callable[[Node], Awaitable[None]]) -> None:
    async def body() -> None:
        volumes = MemoryVolumes(lambda: 0)
        for name in ("v", "w"):
            await volumes.create(name, MIB)
        node = Node(root, volumes)
        async with asyncio.timeout(30):
            await work(node)
            await node.host.stop()

    asyncio.run(body())


def test_attachments_of_a_volume_share_its_writer(tmp_path: Path) -> None:
    """What one writes the other reads; the read-only one writes nothing; opening again changes nothing."""

    async def work(node: Node) -> None:
        first = await node.host.open(OpenCall("a", "v"))
        assert await node.host.open(OpenCall("a", "v")) == first
        await node.host.open(OpenCall("b", "v", read_only=True))
        a, b = await node.client("a"), await node.client("b")
        await a.write(0, b"hello")
        assert await b.read(0, 5) == b"hello"
        assert (await b.write(0, b"no")).error == Error.EPERM
        with pytest.raises(Conflict):
            await node.host.open(OpenCall("a", "w"))
        await node.host.close("a")
        assert await a.gone()
        assert await b.read(0, 5) == b"hello"
        await node.host.close("b")
        await node.host.close("b")
        assert node.host.rows() == ()
        view = await node.volumes.view("v")
        assert await view.read(0, 5) == b"hello"

    on_node(tmp_path, work)


def test_what_cannot_be_served_leaves_nothing_behind(tmp_path: Path) -> None:
    """A volume that is not there, a name that would be a path."""

    async def work(node: Node) -> None:
        with pytest.raises(NotFound):
            await node.host.open(OpenCall("a", "absent"))
        with pytest.raises(NotFound):
            await node.host.open(OpenCall("a", "v", snapshot_id="absent"))
        for name in ("", "../x", "a/b", "a" * 65, "a\0", "é"):
            with pytest.raises(Refused):
                await node.host.open(OpenCall(name, "v"))
        assert node.host.rows() == ()
        await node.host.open(OpenCall("a", "v"))

    on_node(tmp_path, work)


def test_a_killed_daemon_serves_the_same_again(tmp_path: Path) -> None:
    """Under the same names and secrets; what is gone from the cloud is dropped, the others are not held up."""

    async def work(node: Node) -> None:
        await node.host.open(OpenCall("a", "v", limits=Limits(total_iops=1000)))
        await node.host.open(OpenCall("b", "w"))
        client = await node.client("a")
        await client.write(0, b"kept", 1)
        await node.server.close()  # as a kill does, disks are not closed
        await node.volumes.delete("w")
        again = Node(node.root, node.volumes)
        await again.host.restore()
        assert [row.name for row in again.host.rows()] == ["a"]
        assert again.host.secret("a") == node.host.secret("a")
        client = await again.client("a")
        assert await client.read(0, 4) == b"kept"
        export = again.server.export("a")
        assert export is not None
        assert export.limits == Limits(total_iops=1000)
        await again.host.stop()

    on_node(tmp_path, work)


def test_opening_before_all_is_restored_keeps_what_was_written(tmp_path: Path) -> None:
    """After a kill, whoever asks first: the same export again, or another one of the same volume."""

    async def work(node: Node) -> None:
        for number, first in enumerate(("a", "b")):
            await node.host.open(OpenCall("a", "v"))
            before = await node.volumes.snapshot("v", f"s{number}")
            await (await node.client("a")).write(0, first.encode())
            await node.server.close()  # as a kill does, disks are not closed
            await node.volumes.revert("v", before.id)  # and what was not flushed is gone
            again = Node(node.root, node.volumes)
            await again.host.open(OpenCall(first, "v"))
            await again.host.restore()
            assert {row.name for row in again.host.rows()} == {"a", first}
            assert await (await again.client("a")).read(0, 1) == first.encode()
            for name in ("a", "b"):
                await again.host.close(name)
            node = again

    on_node(tmp_path, work)


def test_a_cut_through_volumes_keeps_the_order_of_writes(tmp_path: Path) -> None:
    """A write to the second volume that followed one to the first is in no cut without it."""

    async def work(node: Node) -> None:
        for name, volume in (("a", "v"), ("b", "w")):
            await node.host.open(OpenCall(name, volume))
        a, b = await node.client("a"), await node.client("b")
        stop = asyncio.Event()

        async def write() -> int:
            number = 0
            while not stop.is_set():
                number += 1
                await a.write(0, number.to_bytes(8, "big"))
                await b.write(0, number.to_bytes(8, "big"))
            return number

        writer = asyncio.create_task(write())
        for cut in range(20):
            await asyncio.sleep(0)
            await node.host.snapshot([("v", f"s{cut}"), ("w", f"s{cut}")])
            first, second = [
                int.from_bytes(
                    await (await node.volumes.view(v, snapshot_id=f"s{cut}")).read(0, 8), "big"
                )
                for v in ("v", "w")
            ]
            assert second <= first <= second + 1
        stop.set()
        assert await writer > 1

    on_node(tmp_path, work)


def test_growing_is_seen_by_the_next_connection(tmp_path: Path) -> None:
    """Also of a volume that is not served; shrinking is refused."""

    async def work(node: Node) -> None:
        await node.host.open(OpenCall("a", "v"))
        client = await node.client("a")
        await node.host.resize("v", 2 * MIB)
        await node.host.resize("w", 3 * MIB)
        assert await client.read(2 * MIB - 4, 4) == bytes(4)
        assert (await client.ask(Command.READ, 2 * MIB, 1)).error == Error.EINVAL
        assert (await node.volumes.describe("w")).size == 3 * MIB
        with pytest.raises(Conflict):
            await node.host.resize("v", MIB)

    on_node(tmp_path, work)


def test_verbs_and_errors_travel_over_the_control_socket(tmp_path: Path) -> None:
    """Those who do not know the key get nowhere, and garbage is refused."""

    async def work(node: Node) -> None:
        env = RealEnv()
        calls = Calls(env, KEY, node.host)
        address = f"unix:{tmp_path}/control.sock"
        await calls.frames.listen(address)
        exports = DaemonExports(env, address, KEY)
        exports.start()
        info = await exports.open("v", "a", read_only=False, limits=Limits(write_iops=7))
        assert info.unix_socket == str(node.server.socket("a"))
        assert [row.volume_id for row in await exports.rows()] == ["v"]
        await exports.flush("v")
        await exports.resize("v", 2 * MIB)
        await exports.snapshot_together([("v", "s"), ("w", "s")])
        assert {one.id for one in (await node.volumes.describe("w")).snapshots} == {"s"}
        with pytest.raises(NotFound) as caught:
            await exports.open("absent", "b", read_only=False, limits=Limits())
        assert caught.value.code == "NoSuchVolume"
        with pytest.raises(Conflict):
            await exports.resize("v", 1)
        link = Link(env, address, KEY)
        assert await link.wait_up(5)
        for operation, head in ((wire.OPEN, b"\xc1"), (wire.OPEN, b"\x80"), (200, b"")):
            answer: Frame = await link.ask(operation, 0, head)
            assert answer.status == wire.BAD
        link.close()
        await exports.close("a")
        exports.stop()
        stranger = Link(env, address, b"x" * 32)
        assert not await stranger.wait_up(0.3)
        stranger.close()
        calls.frames.close()

    on_node(tmp_path, work)


@pytest.mark.parametrize(
    "error", [NotFound("A", "a"), Conflict("B", "b"), Refused("C", "c"), Unavailable("D", "d")]
)
def test_an_error_arrives_as_what_it_was(error: RingstackError) -> None:
    """Family, code and message."""
    again = wire.error_of(wire.failure_of(error))
    assert (type(again), again.code, again.message) == (type(error), error.code, error.message)
