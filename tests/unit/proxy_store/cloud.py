"""A simulated cluster without faults of its own, for tests that break one thing at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from proxy.store.record import Draft, Found, ObjectName
from proxy.store.verbs import ClusterStore
from sim.cluster import POLICIES, SimCluster
from sim.faults import quiet
from sim.loop import SimLoop
from tests.virtual import bury

A, C = "AUTH_test", "photos"
REPLICATED, ERASURE = POLICIES


def where(name: str, container: str = C) -> ObjectName:
    return ObjectName(A, container, name)


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 100_000):
        yield data[start : start + 100_000]


class Cloud:
    """Four nodes and two proxies; `store` is the first proxy's."""

    def __init__(self, loop: SimLoop, seed: int = 1) -> None:
        self.loop = loop
        self.cluster = SimCluster(loop, seed, quiet(), repairing=False)

    async def start(self) -> Cloud:
        self.cluster.start()
        for proxy in self.cluster.proxies:
            assert proxy._links is not None
            assert await proxy._links.wait_up(5)
        await self.store.create_container(A, C, policy=REPLICATED.name, change={})
        await self.store.create_container(A, "coded", policy=ERASURE.name, change={})
        return self

    @property
    def store(self) -> ClusterStore:
        return self.store_of(0)

    def store_of(self, number: int) -> ClusterStore:
        store = self.cluster.proxies[number].store
        assert store is not None
        return store

    def as_proxy(self, number: int, work: Callable[[], Awaitable[Any]]) -> asyncio.Task[Any]:
        """Run something as part of a proxy, so that it dies with it."""
        name = self.cluster.proxies[number].name
        task: asyncio.Task[Any] = self.loop.run_as(name, lambda: self.loop.create_task(work()))
        return task

    def pause(self, number: int) -> None:
        """A stopped process: its connections stay, and nothing goes in or out."""
        for proxy in self.cluster.proxies:
            self.cluster.net.block(proxy.name, f"o{number}")
            self.cluster.net.block(f"o{number}", proxy.name)

    def resume(self) -> None:
        self.cluster.net.heal()

    def kill(self, number: int) -> None:
        self.cluster.nodes[number].kill(power_loss=False)

    def fill(self, number: int, *, leave_bytes: int = 0) -> None:
        platter = self.cluster.nodes[number].platter
        platter.capacity_bytes = platter.used_bytes() + leave_bytes
        self.cluster.nodes[number].device().status()

    def copies(self, blob: bytes) -> list[int]:
        """Nodes that hold a piece of a blob."""
        return [
            node.number
            for node in self.cluster.nodes
            if node.up and any(node.device().blob(blob, n) for n in range(3))
        ]

    def spoil(self, number: int, needle: bytes) -> int:
        """Flip a bit in every place of a node's disk that holds these bytes; how many there were."""
        count = 0
        for data in self.cluster.nodes[number].platter.files.values():
            at = data.find(needle)
            while at >= 0:
                data[at] ^= 0x40
                count += 1
                at = data.find(needle, at + 1)
        return count

    async def put(self, name: str, data: bytes, container: str = C, store: Any = None) -> Found:
        target = store or self.store
        return await target.put_object(
            where(name, container), pieces(data), lambda _: Draft("a/b", {})
        )

    async def get(self, name: str, container: str = C, store: Any = None) -> bytes:
        target = store or self.store
        found = await target.get_object(where(name, container))
        return b"".join([bytes(piece) async for piece in target.read(found)])

    async def timed(self, work: Awaitable[Any]) -> tuple[Any, float]:
        """A result and the virtual seconds it took."""
        began = self.loop.now
        result = await work
        return result, self.loop.now - began


def on_cloud(work: Callable[[Cloud], Awaitable[Any]], seed: int = 1) -> Any:
    """Run `work(cloud)` in virtual time. Nothing may fail behind its back."""
    loop = SimLoop()
    asyncio.set_event_loop(loop)
    try:

        async def main() -> Any:
            return await work(await Cloud(loop, seed).start())

        result = loop.run_until_complete(main())
        assert not loop.failures, loop.failures[0]
        return result
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            bury(loop)
        asyncio.set_event_loop(None)
