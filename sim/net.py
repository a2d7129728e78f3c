"""The simulated network: reliable byte streams over links that delay, stall, cut and partition.

Streams are TCP-like: bytes of one connection arrive in order, in random fragments, or not at all once the
connection is cut. Loss shows as a stall (a retransmission) or a reset; messages on different connections
overtake each other freely. A partition blocks one direction or both until it is healed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from sim.faults import Faults
from sim.loop import SimLoop


class Net:
    """All links between all nodes."""

    def __init__(self, loop: SimLoop, rng: random.Random, faults: Faults) -> None:
        self.loop = loop
        self.rng = rng
        self.faults = faults
        self._listeners: dict[tuple[str, int], tuple[str, Callable[[], Any]]] = {}
        self._blocked: dict[tuple[str, str], None] = {}
        self._transports: dict[SimTransport, None] = {}
        self.delivered = 0
        loop.net = self

    # -- listening and connecting --------------------------------------------------------------

    def listen(self, node: str, factory: Callable[[], Any], host: str, port: int) -> Listener:
        """Register a server of a node."""
        self._listeners[host, port] = (node, factory)
        return Listener(self, (host, port))

    def unlisten(self, address: tuple[str, int]) -> None:
        """Stop accepting."""
        self._listeners.pop(address, None)

    async def connect(
        self, node: str, factory: Callable[[], Any], host: str, port: int
    ) -> tuple[SimTransport, Any]:
        """A connection, after a round trip. Raises ConnectionRefusedError."""
        await asyncio.sleep(self.latency() + self.latency())
        found = self._listeners.get((host, port))
        while found is not None and (self.blocked(node, found[0]) or self.blocked(found[0], node)):
            await asyncio.sleep(0.2)
            found = self._listeners.get((host, port))
        if found is None:
            raise ConnectionRefusedError(f"nobody listens at {host}:{port}")
        server_node, server_factory = found
        near = SimTransport(self, node, server_node)
        far = SimTransport(self, server_node, node)
        near.peer, far.peer = far, near
        self._transports[near] = None
        self._transports[far] = None
        near.protocol = factory()
        far.protocol = self.loop.run_as(server_node, server_factory)
        near.protocol.connection_made(near)
        self.loop.run_as(server_node, lambda: far.protocol.connection_made(far))
        return near, near.protocol

    # -- faults --------------------------------------------------------------------------------

    def latency(self) -> float:
        """Seconds for one piece of data."""
        faults, rng = self.faults, self.rng
        delay = faults.latency_s * (0.5 + rng.random())
        if rng.random() < faults.spike_rate:
            delay += faults.spike_s * rng.random()
        return delay

    def block(self, source: str, target: str) -> None:
        """Stop what goes from one node to another."""
        self._blocked[source, target] = None

    def blocked(self, source: str, target: str) -> bool:
        """Whether it is stopped."""
        return (source, target) in self._blocked

    def heal(self) -> None:
        """Lift all partitions; what was stalled goes on."""
        self._blocked.clear()
        for transport in list(self._transports):
            transport.pump()

    def cut_node(self, node: str) -> None:
        """A node dies: its listeners go and all its connections break."""
        for address in [a for a, (owner, _) in self._listeners.items() if owner == node]:
            del self._listeners[address]
        for transport in [t for t in self._transports if t.node == node]:
            transport.die()

    def forget(self, transport: SimTransport) -> None:
        """A connection is over."""
        self._transports.pop(transport, None)


class Listener:
    """What `create_server` returns."""

    def __init__(self, net: Net, address: tuple[str, int]) -> None:
        self._net = net
        self._address = address
        self.sockets: list[Any] = []

    def close(self) -> None:
        """Stop accepting."""
        self._net.unlisten(self._address)


class SimTransport(asyncio.Transport):
    """One end of a connection."""

    def __init__(self, net: Net, node: str, peer_node: str) -> None:
        super().__init__()
        self._net = net
        self.node = node
        self._peer_node = peer_node
        self.peer: SimTransport | None = None
        self.protocol: Any = None
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._free_at = 0.0
        self._scheduled = False
        self._closed = False
        self._high = 64 * 1024
        self._paused = False

    # -- asyncio.Transport -----------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """Queue bytes for the other side."""
        if self._closed:
            return
        self._queue.append(bytes(data))
        self._queued += len(data)
        if self._queued > self._high and not self._paused:
            self._paused = True
            self.protocol.pause_writing()
        self.pump()

    def get_write_buffer_size(self) -> int:
        """Bytes not delivered yet."""
        return self._queued

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Limit above which the protocol is asked to wait."""
        del low
        self._high = high if high is not None else self._high

    def is_closing(self) -> bool:
        """Closed."""
        return self._closed

    def close(self) -> None:
        """Close both ends (what was not delivered is lost, as with abort)."""
        self.abort()

    def abort(self) -> None:
        """Cut the connection; the other side learns of it a little later."""
        if self._closed:
            return
        peer = self.peer
        self._end()
        if peer is not None:
            self._net.loop.call_later(self._net.latency(), peer._end)

    def die(self) -> None:
        """The node is gone: its own protocol hears nothing any more."""
        if self._closed:
            return
        self._closed = True
        self._net.forget(self)
        if self.peer is not None:
            self._net.loop.call_later(self._net.latency(), self.peer._end)

    # -- delivery --------------------------------------------------------------------------------

    def _end(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._net.forget(self)
        self._net.loop.run_as(self.node, lambda: self.protocol.connection_lost(None))

    def pump(self) -> None:
        """Schedule the next piece, unless it is scheduled or the way is blocked."""
        if self._scheduled or not self._queue or self._closed:
            return
        net = self._net
        if net.blocked(self.node, self._peer_node):
            return
        if net.rng.random() < net.faults.reset_rate:
            self.abort()
            return
        delay = net.latency()
        if net.rng.random() < net.faults.loss_rate:
            delay += net.faults.retransmit_s
        self._scheduled = True
        net.loop.call_later(delay, self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        peer = self.peer
        if self._closed or peer is None or peer._closed:
            return
        if self._net.blocked(self.node, self._peer_node):
            return
        # everything queued meanwhile goes along, as TCP would coalesce it
        data = b"".join(self._queue)
        self._queue.clear()
        self._queued = 0
        if self._paused:
            self._paused = False
            self.protocol.resume_writing()
        self._net.delivered += 1
        self._net.loop.run_as(peer.node, lambda: peer.receive(data))

    def receive(self, data: bytes) -> None:
        """Hand bytes to the protocol, in fragments."""
        position = 0
        rng = self._net.rng
        while position < len(data) and not self._closed:
            size = len(data) - position
            if rng.random() < self._net.faults.fragment_rate:
                size = rng.randint(1, size)
            piece = data[position : position + size]
            if isinstance(self.protocol, asyncio.BufferedProtocol):
                buffer: Any = self.protocol.get_buffer(len(piece))
                size = min(len(piece), len(buffer))
                buffer[:size] = piece[:size]
                self.protocol.buffer_updated(size)
            else:
                self.protocol.data_received(piece)
            position += size
