"""The barest HTTP server there can be, to find how much client, kernel and loopback take by themselves.

`python -m bench.bare PORT` answers every request without a body with the same 4 KiB.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

BODY = b"x" * 4096
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


class Bare(asyncio.Protocol):
    """One connection; a request that comes in two pieces is answered at its end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer."""
        if data.endswith(b"\r\n\r\n"):
            self._transport.write(ANSWER)


async def serve(port: int) -> None:
    """Serve until the process ends."""
    server = await asyncio.get_running_loop().create_server(Bare, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
