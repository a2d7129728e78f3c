"""Metadata for guests: listeners inside their networks and routers, who asks, and the answer of the Compute API.

Who asks is known from the network path alone: the namespace that the connection came into and its source address, which
guests cannot forge there. No header of the guest is passed on; the question goes to the Compute API with a token of the service.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable
from functools import partial

from core.api.client import Client
from core.env import Env
from core.errors import Refused, Unavailable
from core.http import HttpServer, Request, Response
from core.service_identity import ServiceIdentity
from networkd.agent.inside import within
from networkd.plan.plan import Listener

log = logging.getLogger("ringstack.metadata")

ADDRESS, PORT = "169.254.169.254", 80
BODY_BYTES_MAX = 64 << 10
TIMEOUT_S = 20.0
AT_ONCE_MAX = 32
AT_ONCE_PORT_MAX = 4  # of one guest
METHODS = frozenset({"GET", "HEAD", "POST", "PUT"})

Owner = Callable[[tuple[str, ...], str], str | None]


def nobody(networks: tuple[str, ...], address: str) -> str | None:
    """No port at all."""
    del networks, address
    return None


def plain(status: int, text: str) -> Response:
    """An answer in plain words."""
    return Response(status, [("Content-Type", "text/plain; charset=utf-8")], f"{text}\n".encode())


def safe_path(path: str) -> bool:
    """The path stays below the port's own metadata."""
    lowered = path.lower().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\")
    parts = lowered.replace("\\", "/").split("/")
    return path.startswith("/") and ".." not in parts and "." not in parts


def _socket() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ADDRESS, PORT))
        listener.listen(128)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


class Metadata:
    """All listeners of a host. Whoever knows sets `owner`, which finds the port with an address in one of some networks."""

    def __init__(self, env: Env, api: str, identity: ServiceIdentity) -> None:
        self._env = env
        self._client = Client(api)
        self._identity = identity
        self.owner: Owner = nobody
        self._servers: dict[str, tuple[Listener, HttpServer]] = {}
        self._free = asyncio.Semaphore(AT_ONCE_MAX)
        self._asking: Counter[str] = Counter()  # by port

    async def settle(self, wanted: dict[str, Listener]) -> dict[str, str]:
        """Listen where it is wanted, and nowhere else; what failed, by namespace."""
        faults: dict[str, str] = {}
        for space in self._servers.keys() - wanted.keys():
            await self.close(space)
        for space, listener in wanted.items():
            held = self._servers.get(space)
            if held is not None:
                if held[0] != listener:
                    held[1].handler = partial(self._handle, listener.networks)
                    self._servers[space] = (listener, held[1])
                continue
            try:
                await self._open(listener)
            except OSError as error:
                faults[space] = f"metadata: {error}"
        return faults

    async def _open(self, listener: Listener) -> None:
        made = await self._env.offload(lambda: within(listener.space, _socket))
        server = HttpServer(partial(self._handle, listener.networks))
        await server.listen(listener=made)
        self._servers[listener.space] = (listener, server)

    async def close(self, space: str) -> None:
        """Listen there no more."""
        _, server = self._servers.pop(space)
        await server.stop(0.0)

    async def stop(self) -> None:
        """Listen nowhere."""
        for space in list(self._servers):
            await self.close(space)

    async def _handle(self, networks: tuple[str, ...], request: Request) -> Response:
        port_id = self.owner(networks, request.peer)
        if port_id is None:
            return plain(404, "no server of this cloud has your address here")
        if not safe_path(request.path):
            return plain(404, "there is no such metadata")
        if request.method not in METHODS:
            return plain(405, "metadata is read")
        if self._asking[port_id] >= AT_ONCE_PORT_MAX:
            return plain(503, "too many questions at once; ask again")
        self._asking[port_id] += 1
        try:
            async with self._free:
                return await self._ask(port_id, request)
        except Unavailable as error:
            log.warning("metadata of port %s: %s", port_id, error.message)
            return plain(503, "the Compute API cannot be reached; ask again")
        except Refused as error:
            return plain(413 if error.code == "EntityTooLarge" else 400, error.message)
        finally:
            self._asking[port_id] -= 1
            self._asking += Counter()  # forgets those that ask nothing

    async def _ask(self, port_id: str, request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        body = await request.body.read_all(BODY_BYTES_MAX)
        headers = {"X-Auth-Token": self._identity.token()}
        path = f"/compute/metadata/{port_id}{request.path}"
        reply = await self._client.call(
            method, path, body or None, headers=headers, timeout_s=TIMEOUT_S
        )
        if reply.status in {401, 403} or reply.status >= 500:
            raise Unavailable("Metadata", f"status {reply.status}")
        if reply.status == 404:
            return plain(404, "there is no such metadata")
        kind = reply.headers.get("content-type", "text/plain")
        if request.method == "HEAD":
            return Response(reply.status, [("Content-Type", kind)], length=len(reply.body))
        return Response(reply.status, [("Content-Type", kind)], reply.body)
