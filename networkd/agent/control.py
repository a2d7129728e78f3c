"""The Networking API as the agent speaks with it: the state that a host should have, and what became of it."""

from __future__ import annotations

from urllib.parse import quote

import msgspec

from core.api.client import Client, Reply
from core.errors import NotFound, Unavailable
from core.service_identity import ServiceIdentity
from networkd.port import HostReport, HostState

WAIT_S = 20
SLACK_S = 10.0


class Control:
    """Calls about one host, with tokens of the service."""

    def __init__(self, api: str, identity: ServiceIdentity, host: str) -> None:
        self._client = Client(api)
        self._identity = identity
        self._path = f"/network/host/{quote(host, safe='')}"

    async def _call(self, method: str, path: str, body: object = None) -> Reply:
        headers = {"X-Auth-Token": self._identity.token()}
        reply = await self._client.call(
            method, path, body, headers=headers, timeout_s=WAIT_S + SLACK_S
        )
        if reply.status == 404:
            raise NotFound("NoHost", "the Networking API does not know this host")
        if reply.status >= 300:
            raise Unavailable("Networking", f"the Networking API answers {reply.status}")
        return reply

    async def wanted(self, seen: str, wait_s: int = WAIT_S) -> HostState:
        """The state, as soon as it is another than the version seen. Raises Unavailable, NotFound before the first report."""
        reply = await self._call("GET", f"{self._path}?seen={quote(seen, safe='')}&wait_s={wait_s}")
        try:
            return msgspec.json.decode(reply.body, type=HostState)
        except msgspec.MsgspecError as error:
            raise Unavailable("Networking", f"the Networking API answers oddly: {error}") from None

    async def report(self, report: HostReport) -> None:
        """Tell what has become of it. Raises Unavailable."""
        await self._call("POST", self._path, msgspec.to_builtins(report))
