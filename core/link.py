"""Pipelined frame connections: a server that dispatches calls, and a client link that makes them.

Promises: both ends have proved the installation's key before the first frame is dispatched; between
machines, inside TLS with certificates of nodes that belong to the cluster (`core.trust`); frames arrive whole and in order; a lost connection fails every call in flight at once; large bodies are
received into their own buffer without a join. A link reconnects by itself, and while a peer cannot be
reached, calls to it fail immediately rather than queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from core import frame as framing
from core import limits
from core.env import Buffer, Env
from core.errors import Bug, Corrupt
from core.frame import HEADER_BYTES, Frame
from core.trust import Trust, peer_name

log = logging.getLogger("ringstack.link")

BUFFER_BYTES = 128 * 1024
WRITE_HIGH_BYTES = 8 * 1024 * 1024
SMALL_BODY_BYTES = 16 * 1024  # larger bodies are written as they are, without a copy
CLOGGED_BYTES = 32 * 1024 * 1024
RECONNECT_S = (0.02, 0.05, 0.1, 0.25, 0.5)
CONNECT_TIMEOUT_S = 3.0
HANDSHAKE_TIMEOUT_S = 10.0  # a client that has not proved the key by then is cut off
UNIX_PATH_BYTES_MAX = 100
SILENCE_S = 3  # after which a link to another machine is cut and made anew
TLS_S = 5.0  # for a TLS handshake, and for a farewell

LOST = 255  # status of a reply that never came

Reply = Callable[[Frame], None]


class FrameProtocol(asyncio.BufferedProtocol):
    """Cuts a byte stream into handshake messages and frames; subclasses say what they mean."""

    def __init__(self) -> None:
        self._buffer = bytearray(BUFFER_BYTES)
        self._view = memoryview(self._buffer)
        self._start = 0
        self._end = 0
        self._large: bytearray | None = None
        self._large_head: framing.FrameHead | None = None
        self._large_end = 0
        self._raw_bytes = 0  # length of the handshake message we wait for; 0 = frames
        self.transport: asyncio.Transport | None = None
        self._out: list[Buffer] = []  # frames of this turn of the loop
        self._flushing = False
        self._writable: asyncio.Future[None] | None = None
        self._frame_bytes_max = limits.FRAME_BYTES_MAX + limits.FRAME_HEAD_BYTES_MAX

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_BYTES)
        notice_silence(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake writers; subclasses fail what is in flight."""
        del exc
        self.transport = None
        self.resume_writing()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go."""
        del sizehint
        if self._large is not None:
            return memoryview(self._large)[self._large_end :]
        if self._end == BUFFER_BYTES:
            self._compact()
        return self._view[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Dispatch every complete message."""
        try:
            if self._large is not None:
                self._large_end += nbytes
                if self._large_end == len(self._large):
                    self._finish_large()
                return
            self._end += nbytes
            self._parse()
        except Corrupt as error:
            log.warning("closing a connection: %s", error.message)
            self.abort()

    def _compact(self) -> None:
        rest = self._end - self._start
        self._buffer[:rest] = bytes(self._view[self._start : self._end])
        self._start, self._end = 0, rest

    def _parse(self) -> None:
        while self.transport is not None:
            available = self._end - self._start
            if self._raw_bytes:
                if available < self._raw_bytes:
                    return
                data = bytes(self._view[self._start : self._start + self._raw_bytes])
                self._start += self._raw_bytes
                self.raw_received(data)
                continue
            if available < HEADER_BYTES:
                break
            head = framing.decode_header(self._buffer, self._start)
            total = head.head_bytes + head.body_bytes
            first = self._start + HEADER_BYTES
            if available - HEADER_BYTES >= total:
                middle = first + head.head_bytes
                self._start = first + total
                self.frame_received(
                    Frame(
                        head.call,
                        head.operation,
                        head.status,
                        head.device,
                        head.epoch,
                        bytes(self._view[first:middle]),
                        bytes(self._view[middle : first + total]),
                    )
                )
                continue
            if total > BUFFER_BYTES // 2:
                if total > self._frame_bytes_max:
                    raise Corrupt("FrameTooLarge", "a guest's frame is too large")
                have = self._end - first
                self._large = bytearray(total)
                self._large[:have] = self._view[first : self._end]
                self._large_head, self._large_end = head, have
                self._start = self._end = 0
            break
        if self._start == self._end:
            self._start = self._end = 0
        elif self._start > BUFFER_BYTES // 2:
            self._compact()

    def _finish_large(self) -> None:
        assert self._large is not None
        assert self._large_head is not None
        head, view = self._large_head, memoryview(self._large)
        self._large = self._large_head = None
        self.frame_received(
            Frame(
                head.call,
                head.operation,
                head.status,
                head.device,
                head.epoch,
                bytes(view[: head.head_bytes]),
                view[head.head_bytes :],
            )
        )

    def send(self, frame: Frame) -> None:
        """Queue a frame; nothing happens when the connection is gone.

        Small frames of one turn of the loop go out together: a system call costs more than a frame.
        """
        if self.transport is None:
            return
        self._out.append(framing.encode_header(frame))
        self._out.append(frame.head)
        if len(frame.body) < SMALL_BODY_BYTES:
            self._out.append(frame.body)
            if not self._flushing:
                self._flushing = True
                asyncio.get_running_loop().call_soon(self._flush)
            return
        self._flush()
        if self.transport is not None:
            self.transport.write(frame.body)

    def _flush(self) -> None:
        self._flushing = False
        out, self._out = self._out, []
        if out and self.transport is not None:
            self.transport.write(b"".join(out))

    def pause_writing(self) -> None:
        """The peer reads slower than we write."""
        self._writable = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """The peer caught up."""
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._writable = None

    @property
    def clogged(self) -> bool:
        """More waits to be sent than a healthy peer leaves; new small calls are refused at once."""
        return (
            self._writable is not None
            and self.transport is not None
            and self.transport.get_write_buffer_size() > CLOGGED_BYTES
        )

    @property
    def congested(self) -> bool:
        """The send buffer is above its limit."""
        return self._writable is not None

    async def writable(self) -> None:
        """Wait until the send buffer is below its limit."""
        while self._writable is not None:
            await asyncio.shield(self._writable)

    def abort(self) -> None:
        """Cut the connection; what has been received and not dispatched yet never will be."""
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.abort()

    def raw_received(self, data: bytes) -> None:
        """Take a handshake message."""
        raise NotImplementedError

    def frame_received(self, frame: Frame) -> None:
        """Take a frame."""
        raise NotImplementedError


def notice_silence(transport: asyncio.BaseTransport) -> None:
    """Have the kernel cut a connection whose other machine has gone without a word.

    Otherwise its death shows after many minutes, and after a long partition the kernel's next try may
    be a minute away, while a new connection would work at once.
    """
    link = transport.get_extra_info("socket")
    if link is None or link.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, SILENCE_S)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)


class ServerConnection(FrameProtocol):
    """One authenticated client of a `FrameServer`."""

    def __init__(self, server: FrameServer) -> None:
        super().__init__()
        self._server = server
        self._nonce = server.env.random_bytes(framing.NONCE_BYTES)
        self._raw_bytes = framing.PROOF_BYTES
        self._patience: asyncio.TimerHandle | None = None
        self.peer: str | None = None  # name of the other node, on links that leave the host
        self.guest = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Challenge the client; over TLS, first see who it is."""
        super().connection_made(transport)
        self._server.connections[self] = None
        loop = asyncio.get_running_loop()
        self._patience = loop.call_later(HANDSHAKE_TIMEOUT_S, self.abort)
        assert self.transport is not None
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.peer = peer_name(tls)
            if self.peer is None and self._server.guests is not None:
                self.guest = True
                self._raw_bytes = 0
                self._frame_bytes_max = BUFFER_BYTES
                return
            if not self._server.admits(self.peer):
                log.warning("refused node %s: it is not on the list of nodes", self.peer)
                self.abort()
                return
        self.transport.write(framing.hello(self._nonce))

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        super().connection_lost(exc)
        self._be_patient()
        self._server.connections.pop(self, None)

    def _be_patient(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def raw_received(self, data: bytes) -> None:
        """Verify the client's proof before anything else is read."""
        answer = framing.check_client_proof(self._server.key, self._nonce, data)
        if answer is None:
            log.warning("refused a connection that does not know the installation's key")
            self.abort()
            return
        self._raw_bytes = 0
        self._be_patient()
        assert self.transport is not None
        self.transport.write(answer)

    def frame_received(self, frame: Frame) -> None:
        """Hand a call to the server's handler."""
        if self.guest:
            assert self._server.guests is not None
            self._server.guests(self, frame)
            return
        self._server.handler(self, frame)

    def reply(self, call: Frame, status: int, head: bytes = b"", body: Buffer = b"") -> None:
        """Answer a call."""
        self.send(
            Frame(
                call.call,
                call.operation,
                status,
                call.device,
                self._server.epoch,
                head,
                cast("bytes", body),
            )
        )


FrameHandler = Callable[[ServerConnection, Frame], None]


class FrameServer:
    """Listens for links. `handler` is called for each frame, in order, and must not block.

    `trust` is needed for `tls:` addresses. `guests`, if there, gets the frames of peers that show no
    certificate, which are small, few and trusted with nothing.
    """

    def __init__(
        self,
        env: Env,
        key: bytes,
        handler: FrameHandler,
        *,
        trust: Trust | None = None,
        guests: FrameHandler | None = None,
    ) -> None:
        self.env = env
        self.key = key
        self.handler = handler
        self.guests = guests
        self.epoch = 0
        self.connections: dict[ServerConnection, None] = {}  # ordered: the simulator repeats runs
        self._trust = trust
        self._servers: list[asyncio.Server] = []

    async def listen(self, address: str) -> None:
        """Listen at `unix:PATH`, `tcp:HOST:PORT` or `tls:HOST:PORT`; may be called for several."""
        loop = asyncio.get_running_loop()
        kind, _, rest = address.partition(":")
        if kind == "unix":
            remove_socket(Path(rest))
            with short_path(rest) as path:
                server = await loop.create_unix_server(
                    lambda: ServerConnection(self), path, backlog=256
                )
        elif kind == "tls":
            host, port = split_host(rest)
            server = await loop.create_server(
                lambda: ServerConnection(self),
                host,
                port,
                backlog=256,
                ssl=trusting(self._trust).server_context(guests=self.guests is not None),
                ssl_handshake_timeout=TLS_S,
                ssl_shutdown_timeout=TLS_S,
            )
        else:
            host, port = split_host(rest)
            server = await loop.create_server(
                lambda: ServerConnection(self), host, port, backlog=256
            )
        self._servers.append(server)

    def admits(self, peer: str | None) -> bool:
        """A node of that name may speak to us."""
        return trusting(self._trust).admits(peer)

    def drop_removed(self) -> None:
        """Cut the links of nodes that are not on the list any more."""
        for connection in list(self.connections):
            if connection.peer is not None and not self.admits(connection.peer):
                log.warning("cut a link of node %s: it was removed", connection.peer)
                connection.abort()

    def close(self) -> None:
        """Stop listening and cut all links."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.abort()


def trusting(trust: Trust | None) -> Trust:
    """What a `tls:` address cannot do without. Raises Bug."""
    if trust is None:
        raise Bug("NoTrust", "a link between nodes needs this node's certificate")
    return trust


def split_host(rest: str) -> tuple[str, int]:
    """HOST:PORT, where HOST may be an IPv6 address in brackets."""
    host, _, port = rest.rpartition(":")
    return host.strip("[]"), int(port)


def remove_socket(path: Path) -> None:
    """Remove what an earlier process left at a socket's path."""
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def short_path(path: str) -> Iterator[str]:
    """Yield a name for a unix socket that fits sun_path (108 bytes), through /proc for deep directories."""
    if len(path.encode()) <= UNIX_PATH_BYTES_MAX:
        yield path
        return
    directory, name = os.path.split(path)
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)


class LinkConnection(FrameProtocol):
    """The client end of one connection."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._raw_bytes = framing.HELLO_BYTES
        self._server_nonce = b""
        self._client_nonce = link.env.random_bytes(framing.NONCE_BYTES)
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Over TLS, see that the server is a node of ours."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and not trusting(self._link.trust).admits(peer_name(tls)):
            log.warning("%s is not on the list of nodes", peer_name(tls))
            self.abort()

    def raw_received(self, data: bytes) -> None:
        """Answer the challenge, then verify the server's own proof."""
        assert self.transport is not None
        if not self._server_nonce:
            self._server_nonce = framing.read_hello(data)
            proof = framing.client_proof(self._link.key, self._server_nonce, self._client_nonce)
            self._raw_bytes = framing.MAC_BYTES
            self.transport.write(proof)
            return
        if not framing.check_server_proof(
            self._link.key, self._server_nonce, self._client_nonce, data
        ):
            raise Corrupt("BadProof", "the server does not know the installation's key")
        self._raw_bytes = 0
        if not self.ready.done():
            self.ready.set_result(None)

    def frame_received(self, frame: Frame) -> None:
        """Complete a call."""
        self._link.complete(frame)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the handshake or every call in flight."""
        super().connection_lost(exc)
        if not self.ready.done():
            self.ready.set_exception(ConnectionResetError("refused during the handshake"))
            self.ready.exception()
        self._link.lost(self)


class Link:
    """A self-healing client connection to one address.

    `call` sends at once when connected and otherwise answers LOST; `reply` callbacks run in the event
    loop, exactly once. `up` tells whether a call would be sent now.
    """

    def __init__(self, env: Env, address: str, key: bytes, *, trust: Trust | None = None) -> None:
        self.env = env
        self.address = address
        self.key = key
        self.trust = trust
        self.epoch = 0
        self.background = False  # no client waits for what is called here
        self.slow_until_s: dict[int, float] = {}  # devices that kept a caller waiting
        self.peer_epoch = 0  # of its last answer
        self.gone_since_s: float | None = (
            None  # loop time at which it was last lost, or first wanted
        )
        self.on_other_epoch: Callable[[Link, int], None] | None = None
        self._connection: LinkConnection | None = None
        self._pending: dict[int, Reply] = {}
        self._next_call = 0
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._changed: asyncio.Future[None] | None = None

    @property
    def up(self) -> bool:
        """Connected and proven."""
        return self._connection is not None

    def start(self) -> None:
        """Begin (re)connecting in the background."""
        if self._task is None and not self._closed and self._connection is None:
            loop = asyncio.get_running_loop()
            if self.gone_since_s is None:
                self.gone_since_s = loop.time()
            self._task = loop.create_task(self._connect_forever())

    async def wait_up(self, timeout_s: float) -> bool:
        """Wait for a connection; False when it did not come in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        self.start()
        while not self.up and loop.time() < deadline:
            self._changed = loop.create_future()
            timer = loop.call_later(deadline - loop.time(), _wake, self._changed)
            await self._changed
            timer.cancel()
        return self.up

    async def _connect_forever(self) -> None:
        attempt = 0
        try:
            while not self._closed:
                with contextlib.suppress(OSError, TimeoutError, Corrupt):
                    async with asyncio.timeout(CONNECT_TIMEOUT_S):
                        connection = await self._open()
                    if connection.transport is not None:
                        self._connection = connection
                        self.gone_since_s = None
                        _wake(self._changed)
                        return
                delay = RECONNECT_S[min(attempt, len(RECONNECT_S) - 1)]
                attempt += 1
                await asyncio.sleep(delay * (0.75 + 0.5 * self.env.random()))
        finally:
            self._task = None

    async def _open(self) -> LinkConnection:
        """Connect and prove. A connection that does not get that far is cut, never left behind."""
        connection = await self._connect()
        try:
            await connection.ready
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _connect(self) -> LinkConnection:
        loop = asyncio.get_running_loop()
        kind, _, rest = self.address.partition(":")
        if kind == "unix":
            with short_path(rest) as path:
                _, protocol = await loop.create_unix_connection(lambda: LinkConnection(self), path)
        elif kind == "tls":
            host, port = split_host(rest)
            _, protocol = await loop.create_connection(
                lambda: LinkConnection(self),
                host,
                port,
                ssl=trusting(self.trust).client_context(),
                ssl_handshake_timeout=TLS_S,
                ssl_shutdown_timeout=TLS_S,
            )
        else:
            host, port = split_host(rest)
            _, protocol = await loop.create_connection(lambda: LinkConnection(self), host, port)
        return protocol

    def call(self, operation: int, device: int, head: bytes, body: Buffer, reply: Reply) -> int:
        """Send a call; returns its number for `forget`. A dead link replies LOST at once."""
        self._next_call = (self._next_call + 1) & 0xFFFFFFFF
        number = self._next_call
        if self._connection is None or self._connection.clogged:
            self.start()
            reply(Frame(number, operation, LOST, device, 0, b"", b""))
            return number
        self._pending[number] = reply
        frame = Frame(
            number,
            operation,
            int(self.background),
            device,
            self.epoch,
            head,
            cast("bytes", body),
        )
        self._connection.send(frame)
        return number

    async def ask(self, operation: int, device: int, head: bytes, body: Buffer = b"") -> Frame:
        """Make one call and wait for its reply, as long as it takes."""
        future: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()

        def done(frame: Frame) -> None:
            if not future.done():
                future.set_result(frame)

        number = self.call(operation, device, head, body, done)
        try:
            return await future
        finally:
            self._pending.pop(number, None)

    def forget(self, number: int) -> None:
        """Drop interest in a call; a late reply is ignored."""
        self._pending.pop(number, None)

    @property
    def congested(self) -> bool:
        """The peer has not taken what was sent before; a large send would have to wait."""
        return self._connection is not None and self._connection.congested

    async def writable(self) -> None:
        """Wait until large sends may go on."""
        if self._connection is not None:
            await self._connection.writable()

    def complete(self, frame: Frame) -> None:
        """Deliver a reply."""
        self.peer_epoch = frame.epoch
        if frame.epoch != self.epoch and self.on_other_epoch is not None:
            self.on_other_epoch(self, frame.epoch)
        reply = self._pending.pop(frame.call, None)
        if reply is not None:
            reply(frame)

    def lost(self, connection: LinkConnection) -> None:
        """Fail what was in flight and reconnect."""
        if self._connection is not connection:
            return
        self._connection = None
        self.gone_since_s = asyncio.get_running_loop().time()
        pending, self._pending = self._pending, {}
        for number, reply in pending.items():
            reply(Frame(number, 0, LOST, 0, 0, b"", b""))
        self.start()

    def close(self) -> None:
        """Close for good."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        if self._connection is not None:
            self._connection.abort()


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
