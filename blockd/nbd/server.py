"""Listens for NBD clients and takes them through the handshake.

Each export has a unix socket of its own, in a directory that only the cloud's user may enter: whoever can open
it may use that export and no other. Over the network there is TLS only: with a certificate of a node of this cluster
every export can be used, with an export's pre-shared key that export.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from blockd.export import Export
from blockd.nbd.negotiation import Agreed, Negotiation, Offer
from blockd.nbd.psk import Psk, psk_context
from blockd.nbd.transmission import Transmission
from blockd.nbd.wire import Transmission as Flags
from core.errors import Corrupt
from core.link import remove_socket, short_path
from core.trust import Trust, peer_name

log = logging.getLogger("ringstack.nbd")

HANDSHAKE_S = 15.0
CONNECTIONS_MAX = 64  # of one export
WAITING_MAX = 256  # in their handshake, over all exports
FLAGS = (
    Flags.HAS_FLAGS
    | Flags.SEND_FLUSH
    | Flags.SEND_FUA
    | Flags.SEND_TRIM
    | Flags.SEND_WRITE_ZEROES
    | Flags.SEND_DF
    | Flags.SEND_CACHE
    | Flags.SEND_FAST_ZERO
    | Flags.CAN_MULTI_CONN  # all connections share one disk, whose flush covers every write
)


class Tls(NamedTuple):
    """Contexts of connections over the network, and which names in certificates are let in."""

    context: Callable[[Psk], ssl.SSLContext]
    admits: Callable[[str | None], bool] = lambda _: False


def tls_of(trust: Trust | None) -> Tls:
    """Keys of exports; with `trust` (a node of several), certificates of nodes as well.

    Who shows neither gets as far as the end of the TLS handshake, where both are looked for.
    """
    if trust is None:
        return Tls(psk_context)
    return Tls(lambda psk: psk_context(psk, trust.server_context(guests=True)), trust.admits)


def offer_of(export: Export, name: str | None = None) -> Offer:
    """An export as it is offered, under another name if need be."""
    flags = FLAGS | Flags.READ_ONLY if export.disk.read_only else FLAGS
    return Offer(
        export.name if name is None else name,
        export.disk.size,
        flags,
        export.description,
        tuple(sorted(export.snapshots)),
    )


class NbdServer:
    """All listeners and connections of one process."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._exports: dict[str, Export] = {}
        self._listeners: dict[str, asyncio.Server] = {}
        self._network: list[asyncio.Server] = []
        self._sessions: dict[str, set[Transmission]] = {}
        self._left: dict[str, asyncio.Event] = {}
        self.waiting: set[Handshake] = set()

    def export(self, name: str) -> Export | None:
        """An export by name."""
        return self._exports.get(name)

    @property
    def names(self) -> Sequence[str]:
        """All exports."""
        return sorted(self._exports)

    def socket(self, name: str) -> Path:
        """Where an export's unix socket is. Its name is short, because addresses of sockets have 107 bytes at most."""
        digest = hashlib.blake2b(name.encode(), digest_size=6).hexdigest()
        return self._directory / f"{digest}.sock"

    async def add(self, export: Export) -> Path:
        """Serve an export; returns its socket."""
        self._exports[export.name] = export
        self._sessions.setdefault(export.name, set())
        path = self.socket(export.name)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_socket(path)
        loop = asyncio.get_running_loop()
        with short_path(str(path)) as short:
            self._listeners[export.name] = await loop.create_unix_server(
                lambda: Handshake(self, only=export.name), short
            )
        path.chmod(0o600)
        return path

    async def remove(self, name: str) -> None:
        """Stop serving an export: its clients are cut off; returns when nothing of theirs is under way."""
        self._exports.pop(name, None)
        listener = self._listeners.pop(name, None)
        if listener is not None:
            listener.close()
            remove_socket(self.socket(name))
        sessions = self._sessions.get(name, set())
        if sessions:
            left = self._left[name] = asyncio.Event()
            for session in list(sessions):
                session.abort()
            await left.wait()
            del self._left[name]
        self._sessions.pop(name, None)

    async def listen(self, host: str, port: int, tls: Tls) -> int:
        """Listen for TLS clients; returns the port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Handshake(self, tls=tls), host, port)
        self._network.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and cut everybody off."""
        for server in self._network:
            server.close()
        for handshake in list(self.waiting):
            handshake.abort()
        for name in self.names:
            await self.remove(name)

    def begin(self, handshake: Handshake, agreed: Agreed) -> Transmission | None:
        """The session of a client that has agreed on an export; None when there are too many."""
        export = self._exports.get(agreed.name)
        sessions = self._sessions.get(agreed.name)
        if export is None or sessions is None or len(sessions) >= CONNECTIONS_MAX:
            return None
        self.waiting.discard(handshake)
        session = Transmission(export, agreed, lambda: self._gone(agreed.name, session))
        sessions.add(session)
        return session

    def _gone(self, name: str, session: Transmission) -> None:
        sessions = self._sessions.get(name, set())
        sessions.discard(session)
        if not sessions and name in self._left:
            self._left[name].set()

    def clients(self, name: str) -> int:
        """Connections of an export."""
        return len(self._sessions.get(name, ()))

    def key_of(self, name: str) -> bytes:
        """The pre-shared key of an export; b"" without one."""
        export = self._exports.get(name)
        return b"" if export is None else export.secret


class Handshake(asyncio.Protocol):
    """A client until transmission. `only`: the one export of a unix socket, which has no need of TLS."""

    def __init__(
        self, server: NbdServer, *, only: str | None = None, tls: Tls | None = None
    ) -> None:
        self._server = server
        self._only = only
        self._tls = tls
        self._psk = Psk(server.key_of)
        self._negotiation = Negotiation(self._find, self._listed, tls=tls is not None)
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        self._server.waiting.add(self)
        if len(self._server.waiting) > WAITING_MAX:
            self.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE_S, self.abort)
        self._transport.write(self._negotiation.greeting())

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone before it began."""
        del exc
        self._end()

    def _end(self) -> None:
        self._server.waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._transport = None

    def abort(self) -> None:
        """Cut it off."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        if self._transport is None:
            return
        try:
            answer = self._negotiation.feed(data)
        except Corrupt as error:
            log.info("closing a connection in its handshake: %s", error.message)
            self.abort()
            return
        self._transport.write(answer)
        if self._negotiation.closed:
            self._transport.close()
        elif self._negotiation.start_tls:
            self._transport.pause_reading()
            self._upgrade = asyncio.get_running_loop().create_task(self._start_tls())
        elif self._negotiation.agreed is not None:
            self._switch(self._negotiation.agreed)

    def _switch(self, agreed: Agreed) -> None:
        transport = self._transport
        assert transport is not None
        session = self._server.begin(self, agreed._replace(name=agreed.name or self._only or ""))
        if session is None:
            self.abort()
            return
        self._end()
        transport.set_protocol(session)
        session.begin(transport, self._negotiation.rest())

    async def _start_tls(self) -> None:
        transport, tls = self._transport, self._tls
        assert transport is not None
        assert tls is not None
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(
                transport,
                self,
                tls.context(self._psk),
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_S,
            )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.info("a TLS handshake failed: %s", error)
            self.abort()
            return
        if self._transport is None or secured is None:
            return
        name = peer_name(secured.get_extra_info("ssl_object"))
        if not self._psk.identity and not tls.admits(name):
            log.info("a client with the certificate of %s was refused", name)
            self.abort()
            return
        self._transport = secured
        self._negotiation.secured()
        with contextlib.suppress(RuntimeError):  # it may never have been paused above TLS
            secured.resume_reading()

    def _allowed(self) -> Sequence[str]:
        """Exports that this client may know of."""
        if self._only is not None:
            return [self._only]
        if self._psk.identity:
            return [self._psk.identity]
        return self._server.names

    def _find(self, name: str) -> Offer | None:
        allowed = self._allowed()
        if name == "" and len(allowed) == 1:
            name = allowed[0]
        export = self._server.export(name)
        return None if export is None or name not in allowed else offer_of(export)

    def _listed(self) -> list[Offer]:
        found = [self._server.export(name) for name in self._allowed()]
        return [offer_of(export) for export in found if export is not None]
