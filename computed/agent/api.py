"""The Compute API as this host's agent speaks to it: over HTTP, with a token of the service."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import msgspec

from computed.port import HostReport, HostWanted
from core.api.client import Client, Reply
from core.errors import NotFound, Unavailable
from core.service_identity import ServiceIdentity

PREFIX = "/compute"
MARGIN_S = 10.0


class HttpApi:
    """`computed.agent.loop.Api`, and what the consoles need to know."""

    def __init__(self, base: str, identity: ServiceIdentity, host: str) -> None:
        self._client = Client(base + PREFIX)
        self._identity = identity
        self._path = f"/host/{quote(host, safe='')}"

    async def _call(self, method: str, path: str, body: Any = None, wait_s: float = 0) -> Reply:
        headers = {"X-Auth-Token": self._identity.token()}
        reply = await self._client.call(
            method, path, body, headers=headers, timeout_s=wait_s + MARGIN_S
        )
        if reply.status == 404:
            raise NotFound("NotFound", f"{path} is not there")
        if reply.status >= 300:
            raise Unavailable("Compute", f"the Compute API answers {reply.status} to {path}")
        return reply

    async def wanted(self, seen: str, wait_s: float) -> HostWanted:
        """What this host should have. Raises Unavailable."""
        query = f"?seen={quote(seen, safe='')}&wait_s={wait_s:g}"
        reply = await self._call("GET", self._path + query, wait_s=wait_s)
        try:
            return msgspec.json.decode(reply.body, type=HostWanted)
        except msgspec.MsgspecError as error:
            raise Unavailable("Compute", f"what is wanted cannot be read: {error}") from None

    async def report(self, report: HostReport) -> None:
        """Tell what there is. Raises Unavailable."""
        await self._call("POST", self._path, msgspec.json.encode(report))

    async def server_of(self, token: str, kind: str) -> str:
        """The server whose console of this kind (`vnc`, `serial`) a token opens. Raises NotFound, Unavailable."""
        body = (await self._call("GET", f"/console/{quote(token, safe='')}")).json()
        if body["kind"] != kind:
            raise NotFound("NotFound", "the token is for another kind of console")
        return str(body["server_id"])
