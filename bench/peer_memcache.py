"""The little of memcached's text protocol that the peer needs, for machines without memcached.

Swift's log-in keeps its tokens there and its proxies their knowledge of containers. Nothing expires and
nothing is evicted: it serves one benchmark.
Reference: memcached's protocol.txt.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

VALUES: dict[bytes, tuple[bytes, bytes]] = {}  # key: flags, value


class Memcache(asyncio.Protocol):
    """One client."""

    def __init__(self) -> None:
        self._held = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer every command that is there as a whole."""
        assert self._transport is not None
        self._held += data
        while (end := self._held.find(b"\r\n")) >= 0:
            words = self._held[:end].split(b" ")
            rest = self._held[end + 2 :]
            if words[0] in {b"set", b"add"}:
                size = int(words[4])
                if len(rest) < size + 2:
                    return
                answer = store(words, rest[:size])
                rest = rest[size + 2 :]
            else:
                answer = command(words)
            self._held = rest
            if words[-1] != b"noreply":
                self._transport.write(answer)


def store(words: list[bytes], value: bytes) -> bytes:
    """`set` and `add`."""
    if words[0] == b"add" and words[1] in VALUES:
        return b"NOT_STORED\r\n"
    VALUES[words[1]] = (words[2], value)
    return b"STORED\r\n"


def command(words: list[bytes]) -> bytes:
    """`get`, `incr`, `decr`, `delete`."""
    name, key = words[0], words[1] if len(words) > 1 else b""
    if name == b"get":
        found = [(key, *VALUES[key]) for key in words[1:] if key in VALUES]
        lines = [b"VALUE %s %s %d\r\n%s\r\n" % (key, f, len(v), v) for key, f, v in found]
        return b"".join(lines) + b"END\r\n"
    if name == b"delete":
        return b"NOT_FOUND\r\n" if VALUES.pop(key, None) is None else b"DELETED\r\n"
    if name in {b"incr", b"decr"}:
        if key not in VALUES:
            return b"NOT_FOUND\r\n"
        step = int(words[2]) if name == b"incr" else -int(words[2])
        number = b"%d" % max(0, int(VALUES[key][1]) + step)
        VALUES[key] = (VALUES[key][0], number)
        return number + b"\r\n"
    return b"ERROR\r\n"


async def serve(port: int) -> None:
    """Serve until the process ends."""
    server = await asyncio.get_running_loop().create_server(Memcache, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
