"""Consoles of a host's guests: the screen for a browser, the serial line, and what services ask about a machine.

One listener. `GET /vnc_auto.html` is a page with noVNC; a WebSocket with `token=` in its path or query is joined to the machine's
screen (or, below `/serial`, to its serial line); the token is one of the Compute API's, made for one server, and is asked
about each time. `GET /log/SERVER`, `/diagnostics/SERVER` and `/screenshot/SERVER` are for services, with their token.
Files are served from noVNC's own directory alone, and paths never lead out of it (CVE-2021-3654).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import websockets
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from core.authenticator import Authenticator
from core.errors import NotFound, Refused, RingstackError

log = logging.getLogger("ringstack.console")

# Debian's package, or its JavaScript alone as `make setup` puts it there
NOVNC = (Path("/usr/share/novnc"), Path("/usr/local/share/ringstack/novnc"))
OWN = {
    "/console.js": Path(__file__).with_name("console.js"),
    **dict.fromkeys(
        ("/vnc_auto.html", "/vnc_lite.html", "/vnc.html"), Path(__file__).with_name("console.html")
    ),
}
KINDS = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self' ws: wss:; base-uri 'none'; frame-ancestors 'self'"
)
SERVICE = "service"
SCREEN, SERIAL = "vnc", "serial"  # as Compute names kinds of consoles
TOKEN_MAX = 64
READ_BYTES = 64 * 1024
PIECE_MAX = 1 << 20

Ask = Callable[[str], Awaitable[tuple[str, bytes]]]  # server id -> content type and body


class Consoles:
    """The listener.

    `server_of(token, kind)` is what Compute says of a token, `socket_of(server id, kind)` a machine's unix socket.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        server_of: Callable[[str, str], Awaitable[str]],
        socket_of: Callable[[str, str], str],
        answers: dict[str, Ask],
    ) -> None:
        self._authenticator = authenticator
        self._server_of = server_of
        self._socket_of = socket_of
        self._answers = answers
        self._server: Server | None = None

    async def listen(self, address: str, port: int) -> int:
        """Listen; returns the port."""
        self._server = await serve(
            self._join,
            address,
            port,
            process_request=self._answer,
            select_subprotocol=_subprotocol,
            max_size=PIECE_MAX,
            compression=None,
            server_header=None,
        )
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def close(self) -> None:
        """Listen no longer."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    # -- plain requests ------------------------------------------------------------------------

    async def _answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """An answer to a plain request; None lets a WebSocket begin."""
        del connection
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return None
        try:
            return await self._page(request)
        except NotFound as error:
            return _response(HTTPStatus.NOT_FOUND, "text/plain", error.message.encode())
        except Refused as error:
            return _response(HTTPStatus.UNAUTHORIZED, "text/plain", error.message.encode())
        except RingstackError as error:
            return _response(HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", error.message.encode())

    async def _page(self, request: Request) -> Response:
        path = urlsplit(request.path).path
        kind, _, server_id = path.removeprefix("/").partition("/")
        if kind in self._answers and server_id:
            identity = self._authenticator.verify(request.headers.get("X-Auth-Token", ""))
            if SERVICE not in identity.roles:
                raise Refused("NotService", "this is for services of the cloud")
            return _response(HTTPStatus.OK, *await self._answers[kind](server_id))
        return _response(HTTPStatus.OK, *file_of(path))

    # -- WebSockets ----------------------------------------------------------------------------

    async def _join(self, connection: ServerConnection) -> None:
        """Join a client to a machine until one of both goes."""
        assert connection.request is not None
        parts = urlsplit(connection.request.path)
        kind = SERIAL if parts.path.startswith("/serial") else SCREEN
        try:
            server_id = await self._server_of(token_of(connection.request), kind)
            socket = self._socket_of(server_id, kind)
            reader, writer = await asyncio.open_unix_connection(socket)
        except (RingstackError, OSError) as error:
            log.info("a console was refused: %s", error)
            await connection.close(1008, "the token opens no console")
            return
        tasks = [
            asyncio.create_task(_to_machine(connection, writer)),
            asyncio.create_task(_to_client(reader, connection)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            writer.close()
            await connection.close()


def token_of(request: Request) -> str:
    """The token that a request names in its query, or (noVNC before 1.1) in a cookie; empty when none."""
    found = parse_qs(urlsplit(request.path).query).get("token", [""])[0]
    if not found:
        for part in request.headers.get("Cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == "token":
                found = value
    return found if len(found) <= TOKEN_MAX else ""


def file_of(path: str) -> tuple[str, bytes]:
    """Type and contents of our page, or of one of noVNC's files. Raises NotFound."""
    if path in OWN:
        return KINDS[OWN[path].suffix], OWN[path].read_bytes()
    parts = [part for part in path.split("/") if part]
    kind = KINDS.get(Path(path).suffix)
    if kind is None or not parts or any(part.startswith(".") for part in parts):
        raise NotFound("NoPage", "there is no such page")
    for root in NOVNC:
        found = root.joinpath(*parts)
        if found.is_file() and found.resolve().is_relative_to(root.resolve()):
            return kind, found.read_bytes()
    raise NotFound("NoPage", "there is no such page")


def _response(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers(
        [
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)


def _subprotocol(
    connection: ServerConnection, offered: Sequence[websockets.Subprotocol]
) -> websockets.Subprotocol | None:
    del connection
    return websockets.Subprotocol("binary") if "binary" in offered else None


async def _to_machine(connection: ServerConnection, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        async for message in connection:
            writer.write(message.encode() if isinstance(message, str) else message)
            await writer.drain()


async def _to_client(reader: asyncio.StreamReader, connection: ServerConnection) -> None:
    with contextlib.suppress(OSError, websockets.ConnectionClosed):
        while data := await reader.read(READ_BYTES):
            await connection.send(data)


def as_json(value: object) -> tuple[str, bytes]:
    """An answer of facts."""
    return "application/json", json.dumps(value).encode()
