"""A small NBD client for tests: what the outside tools do not do, and what they refuse to do."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import NamedTuple

from blockd.nbd import wire
from blockd.nbd.wire import Chunk, Command, Option


class Answer(NamedTuple):
    kind: int
    data: bytes


class Chunks(NamedTuple):
    """A structured reply: (type, payload) of each chunk, and the error number if there was one."""

    error: int
    chunks: list[tuple[int, bytes]]


class NbdClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.structured = False
        self.extended = False
        self._cookie = 0

    @classmethod
    async def connect(cls, path: Path, flags: int = 3) -> NbdClient:
        client = cls(*await asyncio.open_unix_connection(str(path)))
        greeting = await client.reader.readexactly(18)
        assert greeting[:16] == wire.MAGIC + wire.OPTION_MAGIC
        client.writer.write(struct.pack(">I", flags))
        return client

    def send_option(self, option: int, data: bytes = b"") -> None:
        self.writer.write(wire.OPTION.pack(wire.OPTION_MAGIC, option, len(data)) + data)

    async def option(self, option: int, data: bytes = b"") -> list[Answer]:
        """Ask, and collect answers up to the last."""
        self.send_option(option, data)
        answers = []
        while True:
            head = await self.reader.readexactly(wire.OPTION_REPLY.size)
            magic, asked, kind, length = wire.OPTION_REPLY.unpack(head)
            assert (magic, asked) == (wire.OPTION_REPLY_MAGIC, option)
            answers.append(Answer(kind, await self.reader.readexactly(length)))
            if kind == wire.Reply.ACK or kind & 0x80000000:
                return answers

    async def go(self, name: str, *, structured: bool = True, extended: bool = False) -> None:
        if structured and not extended:
            assert (await self.option(Option.STRUCTURED_REPLY))[-1].kind == wire.Reply.ACK
        if extended:
            assert (await self.option(Option.EXTENDED_HEADERS))[-1].kind == wire.Reply.ACK
        answers = await self.option(Option.GO, text(name) + struct.pack(">H", 0))
        assert answers[-1].kind == wire.Reply.ACK, answers
        self.structured, self.extended = structured or extended, extended

    def send(
        self, command: int, offset: int = 0, length: int = 0, payload: bytes = b"", flags: int = 0
    ) -> int:
        self._cookie += 1
        if self.extended:
            if command == Command.WRITE:
                flags |= wire.Flag.PAYLOAD_LEN
            head = wire.EXTENDED_REQUEST.pack(
                wire.EXTENDED_REQUEST_MAGIC, flags, command, self._cookie, offset, length
            )
        else:
            head = wire.REQUEST.pack(
                wire.REQUEST_MAGIC, flags, command, self._cookie, offset, length
            )
        self.writer.write(head + payload)
        return self._cookie

    async def receive(self) -> tuple[int, Chunks]:
        """One whole structured reply: its cookie and chunks."""
        chunks: list[tuple[int, bytes]] = []
        error = 0
        while True:
            if self.extended:
                head = await self.reader.readexactly(wire.EXTENDED_REPLY.size)
                magic, flags, kind, cookie, _, length = wire.EXTENDED_REPLY.unpack(head)
                assert magic == wire.EXTENDED_REPLY_MAGIC
            else:
                head = await self.reader.readexactly(wire.STRUCTURED_REPLY.size)
                magic, flags, kind, cookie, length = wire.STRUCTURED_REPLY.unpack(head)
                assert magic == wire.STRUCTURED_REPLY_MAGIC
            payload = await self.reader.readexactly(length)
            if kind == Chunk.ERROR:
                error = struct.unpack_from(">I", payload)[0]
            chunks.append((kind, payload))
            if flags & wire.DONE:
                return cookie, Chunks(error, chunks)

    async def ask(
        self, command: int, offset: int = 0, length: int = 0, payload: bytes = b"", flags: int = 0
    ) -> Chunks:
        wanted = self.send(command, offset, length, payload, flags)
        cookie, reply = await self.receive()
        assert cookie == wanted
        return reply

    async def read(self, offset: int, length: int) -> bytes:
        reply = await self.ask(Command.READ, offset, length)
        assert reply.error == 0, reply
        data = bytearray(length)
        for kind, payload in reply.chunks:
            if kind == Chunk.OFFSET_DATA:
                at = struct.unpack_from(">Q", payload)[0] - offset
                data[at : at + len(payload) - 8] = payload[8:]
        return bytes(data)

    async def write(self, offset: int, data: bytes, flags: int = 0) -> Chunks:
        return await self.ask(Command.WRITE, offset, len(data), data, flags)

    async def gone(self) -> bool:
        """The server has closed the connection."""
        try:
            return await self.reader.read() == b""
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.writer.close()


def text(value: str) -> bytes:
    return struct.pack(">I", len(value.encode())) + value.encode()


def queries(name: str, *contexts: str) -> bytes:
    return text(name) + struct.pack(">I", len(contexts)) + b"".join(map(text, contexts))
