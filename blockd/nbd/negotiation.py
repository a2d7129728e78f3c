"""The handshake of an NBD connection, as the server sees it. Pure.

`Negotiation.feed` takes bytes and gives the bytes to answer and, at its end, what was agreed. A client that
breaks the protocol, asks for more than MAX_OPTIONS things or announces an option larger than its limit is
cut off (`Broken`). Before TLS, when it is required, nothing is told but that it is required: not even which exports
there are.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

from blockd.nbd import wire
from blockd.nbd.wire import Fields, Info, Option, Reply, Transmission
from core.errors import Corrupt

MAX_OPTIONS = 256
ALLOCATION = "base:allocation"
DIFFERENCE = "ringstack:changed-since:"  # followed by the name of a snapshot
MINIMUM_BLOCK = 1
PREFERRED_BLOCK = 4096


class Offer(NamedTuple):
    """An export as a handshake tells it. `snapshots`: names that `DIFFERENCE` contexts may have."""

    name: str
    size: int
    flags: Transmission
    description: str = ""
    snapshots: tuple[str, ...] = ()


class Agreed(NamedTuple):
    """What transmission begins with. `contexts`: by id, their names."""

    name: str
    structured: bool
    extended: bool
    contexts: dict[int, str]


class Broken(Corrupt):
    """The client does not keep to the protocol: close the connection."""

    def __init__(self, message: str) -> None:
        super().__init__("BrokenHandshake", message)


Find = Callable[[str], Offer | None]


class Negotiation:
    """One connection until transmission. `listed`: exports that may be named to this client."""

    def __init__(
        self, find: Find, listed: Callable[[], Sequence[Offer]], *, tls: bool, secured: bool = False
    ) -> None:
        self._find = find
        self._listed = listed
        self._tls = tls
        self._secured = secured or not tls
        self._buffer = bytearray()
        self._flags: int | None = None
        self._options = 0
        self._structured = False
        self._extended = False
        self._contexts: tuple[str, dict[int, str]] = ("", {})
        self.agreed: Agreed | None = None
        self.start_tls = False  # the answer is sent, the client begins its TLS handshake now
        self.closed = False

    @staticmethod
    def greeting() -> bytes:
        """What the server says first."""
        return wire.MAGIC + wire.OPTION_MAGIC + struct.pack(">H", wire.HANDSHAKE_FLAGS)

    def secured(self) -> None:
        """TLS has been set up: everything negotiated before is forgotten, as the protocol wants."""
        self._secured = True
        self.start_tls = False
        self._structured = self._extended = False
        self._contexts = ("", {})
        self._buffer.clear()

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return the answer. Raises Broken.

        When `agreed` is set, `rest()` has what came after the last option.
        """
        self._buffer += data
        answer = bytearray()
        if self._flags is None:
            if len(self._buffer) < 4:
                return b""
            self._flags = int.from_bytes(self._take(4), "big")
            if self._flags & ~wire.HANDSHAKE_FLAGS:
                raise Broken("the client sets flags that are not known")
            if not self._flags & wire.CLIENT_FIXED_NEWSTYLE:
                raise Broken("the client does not know the fixed newstyle handshake")
        while self.agreed is None and not self.closed and not self.start_tls:
            option = self._next()
            if option is None:
                break
            answer += self._answer(*option)
        return bytes(answer)

    def rest(self) -> bytes:
        """Bytes after the handshake."""
        return self._take(len(self._buffer))

    def _take(self, count: int) -> bytes:
        data = bytes(self._buffer[:count])
        del self._buffer[:count]
        return data

    def _next(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < wire.OPTION.size:
            return None
        magic, option, length = wire.OPTION.unpack_from(self._buffer)
        if magic != wire.OPTION_MAGIC:
            raise Broken("an option does not begin as one")
        if length > wire.OPTION_BYTES_MAX:
            raise Broken("an option is too long")
        if len(self._buffer) < wire.OPTION.size + length:
            return None
        self._options += 1
        if self._options > MAX_OPTIONS:
            raise Broken("too many options")
        self._take(wire.OPTION.size)
        return option, self._take(length)

    def _answer(self, option: int, data: bytes) -> bytes:
        if not self._secured and option not in {Option.STARTTLS, Option.ABORT}:
            if option == Option.EXPORT_NAME:
                raise Broken("TLS is required")
            return wire.option_reply(option, Reply.ERR_TLS_REQD, b"TLS is required")
        try:
            return self._handle(option, data)
        except Broken:
            raise
        except Corrupt as error:
            return wire.option_reply(option, Reply.ERR_INVALID, error.message.encode())

    def _handle(self, option: int, data: bytes) -> bytes:
        match option:
            case Option.EXPORT_NAME:
                return self._export_name(data)
            case Option.ABORT:
                self.closed = True
                return wire.option_reply(option, Reply.ACK)
            case Option.LIST:
                return self._list(data)
            case Option.STARTTLS:
                return self._starttls(data)
            case Option.INFO | Option.GO:
                return self._go(option, data)
            case Option.STRUCTURED_REPLY:
                Fields(data).end()
                if self._extended:
                    return wire.option_reply(option, Reply.ERR_EXT_HEADER_REQD)
                self._structured = True
                return wire.option_reply(option, Reply.ACK)
            case Option.EXTENDED_HEADERS:
                Fields(data).end()
                self._structured = self._extended = True
                return wire.option_reply(option, Reply.ACK)
            case Option.LIST_META_CONTEXT | Option.SET_META_CONTEXT:
                return self._meta(option, data)
        return wire.option_reply(option, Reply.ERR_UNSUP)

    def _export_name(self, data: bytes) -> bytes:
        if len(data) > wire.NAME_BYTES_MAX:
            raise Broken("a name is longer than 4096 bytes")
        offer = self._find(data.decode(errors="replace"))
        if offer is None:
            raise Broken("there is no such export")
        assert self._flags is not None
        self._agree(offer)
        zeroes = b"" if self._flags & wire.CLIENT_NO_ZEROES else bytes(124)
        return struct.pack(">QH", offer.size, self._flags_of(offer)) + zeroes

    def _agree(self, offer: Offer) -> None:
        name, contexts = self._contexts
        kept = contexts if name == offer.name else {}
        self.agreed = Agreed(offer.name, self._structured, self._extended, kept)

    def _flags_of(self, offer: Offer) -> int:
        flags = offer.flags
        if not self._structured:
            flags &= ~Transmission.SEND_DF
        return int(flags)

    def _list(self, data: bytes) -> bytes:
        Fields(data).end()
        rows = bytearray()
        for offer in self._listed():
            name = offer.name.encode()
            payload = struct.pack(">I", len(name)) + name + offer.description.encode()
            rows += wire.option_reply(Option.LIST, Reply.SERVER, payload)
        return bytes(rows) + wire.option_reply(Option.LIST, Reply.ACK)

    def _starttls(self, data: bytes) -> bytes:
        Fields(data).end()
        if not self._tls:
            return wire.option_reply(Option.STARTTLS, Reply.ERR_POLICY, b"there is no TLS here")
        if self._secured:
            return wire.option_reply(Option.STARTTLS, Reply.ERR_INVALID, b"TLS is there already")
        if self._buffer:
            raise Broken("the client sent something before TLS was set up")
        self.start_tls = True
        return wire.option_reply(Option.STARTTLS, Reply.ACK)

    def _go(self, option: int, data: bytes) -> bytes:
        fields = Fields(data)
        name = fields.text()
        wanted = {fields.number(2) for _ in range(fields.number(2))}
        fields.end()
        offer = self._find(name)
        if offer is None:
            return wire.option_reply(option, Reply.ERR_UNKNOWN, b"there is no such export")
        infos = [struct.pack(">HQH", Info.EXPORT, offer.size, self._flags_of(offer))]
        if Info.NAME in wanted:
            infos.append(struct.pack(">H", Info.NAME) + offer.name.encode())
        if Info.DESCRIPTION in wanted and offer.description:
            infos.append(struct.pack(">H", Info.DESCRIPTION) + offer.description.encode())
        sizes = (MINIMUM_BLOCK, PREFERRED_BLOCK, wire.PAYLOAD_BYTES_MAX)
        infos.append(struct.pack(">HIII", Info.BLOCK_SIZE, *sizes))
        if option == Option.GO:
            self._agree(offer)
        replies = [wire.option_reply(option, Reply.INFO, info) for info in infos]
        return b"".join(replies) + wire.option_reply(option, Reply.ACK)

    def _meta(self, option: int, data: bytes) -> bytes:
        fields = Fields(data)
        name = fields.text()
        queries = [fields.text() for _ in range(fields.number(4))]
        fields.end()
        setting = option == Option.SET_META_CONTEXT
        if setting:
            self._contexts = ("", {})
            if not self._structured:
                return wire.option_reply(
                    option, Reply.ERR_INVALID, b"structured replies come before contexts"
                )
        offer = self._find(name)
        if offer is None:
            return wire.option_reply(option, Reply.ERR_UNKNOWN, b"there is no such export")
        names = matching(queries, offer, listing=not setting)
        if setting:
            self._contexts = (offer.name, dict(enumerate(names, 1)))
        rows = bytearray()
        for number, context in enumerate(names, 1):
            payload = struct.pack(">I", number if setting else 0) + context.encode()
            rows += wire.option_reply(option, Reply.META_CONTEXT, payload)
        return bytes(rows) + wire.option_reply(option, Reply.ACK)


def matching(queries: Sequence[str], offer: Offer, *, listing: bool) -> list[str]:
    """Contexts of an export that queries name; a list may ask by namespace, and for all."""
    known = [ALLOCATION, *(DIFFERENCE + name for name in offer.snapshots)]
    if listing and not queries:
        return known
    found = []
    for context in known:
        for query in queries:
            whole = query == context
            leaf = listing and query.endswith(":") and context.startswith(query)
            if (whole or leaf) and context not in found:
                found.append(context)
    return found
