"""One storage node in virtual time, and short ways to call it."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from core.checksum import block_sums
from core.frame import Frame
from core.link import Link
from core.stamp import make_ballot
from objectd import wire
from objectd.device import Device, DeviceIdentity
from objectd.index import Index
from objectd.memindex import MemoryIndex
from objectd.placement import Placement
from objectd.server import ObjectServer
from ring.build import build
from ring.epoch import Epoch
from sim.disk import Platter, SimDisk
from tests.model import rings
from tests.virtual import World

KEY = b"key of the installation"
ADDRESS = "tcp:o0:7000"
IDENTITY = DeviceIdentity(0, "d0", "test", 2, 9)
RANGE = b"r" * 16
CAPACITY = 1 << 30
DRAFT = rings.draft(rings.devices(1, 4, 1), part_power=2, seed=9)


def epoch_since_zero() -> Epoch:
    """A ring whose ranges have config 0, like the ballots here."""
    built = build(DRAFT, None).epoch
    return Epoch(
        1,
        built.settings,
        devices=built.devices,
        policies=built.policies,
        tables=built.tables,
        since=memoryview(bytes(4 * built.part_count)).cast("I"),
    )


def ballot(clock: int, stage: int = 0) -> bytes:
    return make_ballot(stage, clock, 1)


def body_parts(version: int, *, meta_bytes: int = 20, inline_bytes: int = 10) -> tuple[bytes, ...]:
    chance = random.Random(version)
    return (
        msgspec.msgpack.encode("summary"),
        chance.randbytes(meta_bytes),
        chance.randbytes(inline_bytes),
    )


class Node:
    """A server with one device; `restart` keeps the platter and, if asked, the index."""

    def __init__(self, world: World, index: Index | None = None) -> None:
        self.world = world
        self.platter = Platter(random.Random(3), world.faults, CAPACITY)
        self.index: Any = MemoryIndex() if index is None else index
        self.kept = epoch_since_zero()

    async def start(self) -> Node:
        self.disk = SimDisk(self.platter)
        self.device = Device(self.world.env(), self.disk, self.index, IDENTITY)
        placement = Placement(self.kept, self._keep)
        self.server = ObjectServer(self.world.env(), KEY, {0: self.device}, placement)
        await self.server.frames.listen(ADDRESS)
        self.link = Link(self.world.env(), ADDRESS, KEY)
        assert await self.link.wait_up(5)
        return self

    def _keep(self, epoch: Epoch) -> None:
        self.kept = epoch

    async def restart(self, *, power_loss: bool = False) -> None:
        self.disk.dead = True
        self.server.frames.close()
        self.link.close()
        if power_loss:
            self.platter.crash()
            self.index = MemoryIndex()
        else:
            self.index = self.index.crash()
        await self.start()

    async def call(self, operation: int, message: Any, body: bytes = b"") -> Frame:
        return await self.link.ask(operation, 0, wire.encode(message), body)

    async def prepare(self, name: bytes, at: bytes, want: int = wire.WANT_ALL) -> Frame:
        return await self.call(wire.PREPARE, wire.Prepare(RANGE, name, at, want))

    async def accept(
        self, name: bytes, at: bytes, parts: tuple[bytes, ...], *, flags: int = wire.LIVE
    ) -> Frame:
        return await self.call(wire.ACCEPT, *self.accept_call(name, at, parts, flags=flags))

    @staticmethod
    def accept_call(
        name: bytes, at: bytes, parts: tuple[bytes, ...], *, flags: int = wire.LIVE
    ) -> tuple[wire.Accept, bytes]:
        body = b"".join(parts)
        size = sum(map(len, parts))
        digest = wire.digest_of(body)
        head = wire.Accept(RANGE, name, at, flags, size, 0, digest, len(parts[0]), len(parts[1]))
        return head, body

    async def read(self, name: bytes, want: int = wire.WANT_ALL, stage: int = 0) -> Frame:
        return await self.call(wire.READ, wire.Read(RANGE, name, stage, want, wire.ANY_CONFIG))

    async def names(self, stage: int = 0) -> list[str]:
        call = wire.ListCall(RANGE, stage, wire.ANY_CONFIG, b"", b"", b"", b"", 1000, reverse=False)
        frame = await self.call(wire.LIST, call)
        assert frame.status == wire.OK
        return [row.name for row in wire.page_decoder(object).decode(frame.body).rows]

    async def put_blob(self, blob: bytes, data: bytes, fragment: int = 0) -> int:
        head = wire.PutBlob(blob, fragment, RANGE, len(data), block_sums(data))
        return (await self.call(wire.PUT_BLOB, head, data)).status

    async def get_blob(self, blob: bytes, start: int = 0, length: int = 1 << 30) -> Frame:
        return await self.call(wire.GET_BLOB, wire.GetBlob(blob, 0, start, length))

    def flip(self, needle: bytes) -> None:
        """Flip one bit where `needle` is on the platter."""
        for data in self.platter.files.values():
            at = data.find(needle)
            if at >= 0:
                data[at + len(needle) // 2] ^= 1
                return
        raise AssertionError("those bytes are not on the disk")
