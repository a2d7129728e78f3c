"""Messages of the NBD protocol as bytes: options, requests, replies. Pure.

After the protocol's own specification (doc/proto.md of the NBD project): fixed newstyle, structured replies,
extended headers. All numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from enum import IntEnum, IntFlag
from typing import NamedTuple

from core.errors import Corrupt

MAGIC = b"NBDMAGIC"
OPTION_MAGIC = b"IHAVEOPT"
OPTION_REPLY_MAGIC = 0x3E889045565A9
REQUEST_MAGIC = 0x25609513
EXTENDED_REQUEST_MAGIC = 0x21E41C71
SIMPLE_REPLY_MAGIC = 0x67446698
STRUCTURED_REPLY_MAGIC = 0x668E33EF
EXTENDED_REPLY_MAGIC = 0x6E8A278C

HANDSHAKE_FLAGS = 0x3  # fixed newstyle, no zeroes
CLIENT_FIXED_NEWSTYLE = 0x1
CLIENT_NO_ZEROES = 0x2

OPTION = struct.Struct(">8sII")
OPTION_REPLY = struct.Struct(">QIII")
REQUEST = struct.Struct(">IHHQQI")
EXTENDED_REQUEST = struct.Struct(">IHHQQQ")
SIMPLE_REPLY = struct.Struct(">IIQ")
STRUCTURED_REPLY = struct.Struct(">IHHQI")
EXTENDED_REPLY = struct.Struct(">IHHQQQ")

NAME_BYTES_MAX = 4096
OPTION_BYTES_MAX = 64 * 1024
PAYLOAD_BYTES_MAX = 32 << 20


class Option(IntEnum):
    """What a client may ask before transmission."""

    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    STARTTLS = 5
    INFO = 6
    GO = 7
    STRUCTURED_REPLY = 8
    LIST_META_CONTEXT = 9
    SET_META_CONTEXT = 10
    EXTENDED_HEADERS = 11


class Reply(IntEnum):
    """Types of answers to options; errors have the highest bit."""

    ACK = 1
    SERVER = 2
    INFO = 3
    META_CONTEXT = 4
    ERR_UNSUP = 0x80000001
    ERR_POLICY = 0x80000002
    ERR_INVALID = 0x80000003
    ERR_TLS_REQD = 0x80000005
    ERR_UNKNOWN = 0x80000006
    ERR_SHUTDOWN = 0x80000007
    ERR_BLOCK_SIZE_REQD = 0x80000008
    ERR_TOO_BIG = 0x80000009
    ERR_EXT_HEADER_REQD = 0x8000000A


class Info(IntEnum):
    """Pieces of information about an export."""

    EXPORT = 0
    NAME = 1
    DESCRIPTION = 2
    BLOCK_SIZE = 3


class Transmission(IntFlag):
    """What an export can do."""

    HAS_FLAGS = 1 << 0
    READ_ONLY = 1 << 1
    SEND_FLUSH = 1 << 2
    SEND_FUA = 1 << 3
    SEND_TRIM = 1 << 5
    SEND_WRITE_ZEROES = 1 << 6
    SEND_DF = 1 << 7
    CAN_MULTI_CONN = 1 << 8
    SEND_CACHE = 1 << 10
    SEND_FAST_ZERO = 1 << 11


class Command(IntEnum):
    """Requests of the transmission phase."""

    READ = 0
    WRITE = 1
    DISC = 2
    FLUSH = 3
    TRIM = 4
    CACHE = 5
    WRITE_ZEROES = 6
    BLOCK_STATUS = 7


class Flag(IntFlag):
    """Flags of a request."""

    FUA = 1 << 0
    NO_HOLE = 1 << 1
    DF = 1 << 2
    REQ_ONE = 1 << 3
    FAST_ZERO = 1 << 4
    PAYLOAD_LEN = 1 << 5


class Chunk(IntEnum):
    """Types of structured replies."""

    NONE = 0
    OFFSET_DATA = 1
    OFFSET_HOLE = 2
    BLOCK_STATUS = 5
    BLOCK_STATUS_EXT = 6
    ERROR = 32769


DONE = 1  # flag of the last chunk of a reply
STATE_HOLE = 1
STATE_ZERO = 2
STATE_DIRTY = 1


class Error(IntEnum):
    """Error numbers on the wire."""

    OK = 0
    EPERM = 1
    EIO = 5
    ENOMEM = 12
    EINVAL = 22
    ENOSPC = 28
    EOVERFLOW = 75
    ENOTSUP = 95
    ESHUTDOWN = 108


class Request(NamedTuple):
    """A request's header. `length`: of the effect, or of the payload that follows for a write."""

    flags: int
    command: int
    cookie: int
    offset: int
    length: int


class StatusRun(NamedTuple):
    """A run of bytes with the same state."""

    length: int
    state: int


def decode_request(data: bytes | memoryview | bytearray, *, extended: bool) -> Request:
    """Decode a header of REQUEST.size (or EXTENDED_REQUEST.size) bytes. Raises Corrupt at a wrong magic."""
    layout = EXTENDED_REQUEST if extended else REQUEST
    magic, flags, command, cookie, offset, length = layout.unpack_from(data)
    if magic != (EXTENDED_REQUEST_MAGIC if extended else REQUEST_MAGIC):
        raise Corrupt("BadMagic", "a request does not begin as one")
    return Request(flags, command, cookie, offset, length)


def option_reply(option: int, kind: Reply, data: bytes = b"") -> bytes:
    """An answer to an option."""
    return OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, kind, len(data)) + data


class Replies:
    """Replies in the form that was negotiated: simple, structured or extended."""

    def __init__(self, *, structured: bool, extended: bool) -> None:
        self.structured = structured or extended
        self.extended = extended

    def done(self, request: Request) -> bytes:
        """Success without data."""
        if not self.structured:
            return SIMPLE_REPLY.pack(SIMPLE_REPLY_MAGIC, Error.OK, request.cookie)
        return self._chunk(request, Chunk.NONE, 0)

    def error(self, request: Request, error: Error, message: str = "") -> bytes:
        """Failure, with a message for people where the form allows one."""
        if not self.structured:
            return SIMPLE_REPLY.pack(SIMPLE_REPLY_MAGIC, error, request.cookie)
        text = message.encode()[:1024]
        payload = struct.pack(">IH", error, len(text)) + text
        return self._chunk(request, Chunk.ERROR, len(payload)) + payload

    def data(self, request: Request) -> bytes:
        """What goes before `request.length` bytes that were read."""
        if not self.structured:
            return SIMPLE_REPLY.pack(SIMPLE_REPLY_MAGIC, Error.OK, request.cookie)
        head = self._chunk(request, Chunk.OFFSET_DATA, 8 + request.length)
        return head + struct.pack(">Q", request.offset)

    def hole(self, request: Request) -> bytes:
        """All that was asked for reads as zeros. Only in structured form."""
        payload = struct.pack(">QI", request.offset, request.length)
        return self._chunk(request, Chunk.OFFSET_HOLE, len(payload)) + payload

    def status(self, request: Request, contexts: Iterable[tuple[int, list[StatusRun]]]) -> bytes:
        """Block status, a chunk for each (context id, runs)."""
        parts: list[bytes] = []
        rows = list(contexts)
        for number, (context, runs) in enumerate(rows):
            if self.extended:
                payload = struct.pack(">II", context, len(runs)) + b"".join(
                    struct.pack(">QQ", run.length, run.state) for run in runs
                )
                kind = Chunk.BLOCK_STATUS_EXT
            else:
                payload = struct.pack(">I", context) + b"".join(
                    struct.pack(">II", run.length, run.state) for run in runs
                )
                kind = Chunk.BLOCK_STATUS
            last = number == len(rows) - 1
            parts += [self._chunk(request, kind, len(payload), done=last), payload]
        return b"".join(parts)

    def _chunk(self, request: Request, kind: int, length: int, *, done: bool = True) -> bytes:
        flags = DONE if done else 0
        if self.extended:
            return EXTENDED_REPLY.pack(
                EXTENDED_REPLY_MAGIC, flags, kind, request.cookie, request.offset, length
            )
        return STRUCTURED_REPLY.pack(STRUCTURED_REPLY_MAGIC, flags, kind, request.cookie, length)


class Fields:
    """Takes an option's data apart. Raises Corrupt when it ends too early or goes on too long."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self, size: int) -> int:
        """An unsigned number of `size` bytes."""
        return int.from_bytes(self._take(size), "big")

    def text(self) -> str:
        """A string with its 32-bit length. Raises Corrupt when it is not UTF-8 or too long."""
        length = self.number(4)
        if length > NAME_BYTES_MAX:
            raise Corrupt("NameTooLong", "a name is longer than 4096 bytes")
        try:
            return self._take(length).decode()
        except UnicodeDecodeError:
            raise Corrupt("BadName", "a name is not UTF-8") from None

    def end(self) -> None:
        """Nothing may follow."""
        if self._at != len(self._data):
            raise Corrupt("TooLong", "an option has bytes after its end")

    def _take(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise Corrupt("TooShort", "an option ends before its end")
        self._at += size
        return part
