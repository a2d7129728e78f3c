"""The cloud's own APIs as its administrator uses them from a command: one token, plain calls, errors in the services' words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import quote

from core.api.client import Client, Reply
from core.errors import Conflict, NotFound, Refused, Unavailable
from core.installation import Installation, identity_url

VERSIONS = {
    "compute": {"OpenStack-API-Version": "compute 2.79"},
    "volume": {"OpenStack-API-Version": "volume 3.60"},
}
LOOK_S = 0.05
T = TypeVar("T")
Body = dict[str, Any]


class OpenStack:
    """Calls below `/network/v2.0`, `/compute/v2.1` and the like. `log_in` first."""

    def __init__(self, installation: Installation) -> None:
        config = installation.config()
        self._secrets = installation.secrets()
        self._client = Client(identity_url(config).removesuffix("/identity"))
        self._token = ""
        self.project_id = ""

    async def log_in(self) -> None:
        """As the administrator, in the administrator's project. Raises Refused, Unavailable."""
        project, _, user = self._secrets.user.partition(":")
        domain = {"id": "default"}
        password = {"user": {"name": user, "domain": domain, "password": self._secrets.key}}
        scope = {"project": {"name": project, "domain": domain}}
        identity = {"methods": ["password"], "password": password}
        body = {"auth": {"identity": identity, "scope": scope}}
        reply = await self._client.call("POST", "/identity/v3/auth/tokens", body)
        shown = answered(reply)
        self._token = reply.headers["x-subject-token"]
        self.project_id = str(shown["token"]["project"]["id"])

    async def call(self, method: str, path: str, body: Any = None) -> Body:
        """The body of a success, `{}` when it has none. Raises NotFound, Conflict, Refused, Unavailable."""
        service = path.split("/")[1]
        headers = {
            "X-Auth-Token": self._token,
            "Accept": "application/json",
            **VERSIONS.get(service, {}),
        }
        return answered(await self._client.call(method, path, body, headers=headers))

    async def named(self, path: str, kind: str, name: str) -> Body | None:
        """The first of a collection that has this name, or None."""
        joint = "&" if "?" in path else "?"
        found = await self.call("GET", f"{path}{joint}name={quote(name, safe='')}")
        rows: list[Body] = found[kind]
        return next((row for row in rows if row["name"] == name), None)


def answered(reply: Reply) -> Body:
    """The body of a success. Raises an error with the service's own words."""
    decoded = reply.json()
    body: Body = decoded if isinstance(decoded, dict) else {}
    if reply.status < 300:
        return body
    inner: Any = next(iter(body.values()), None)
    source = inner if isinstance(inner, dict) else body
    message = str(source.get("message") or f"the service answers {reply.status}")
    if reply.status == 404:
        raise NotFound("NotFound", message)
    if reply.status >= 500:
        raise Unavailable("Service", message)
    raise (Conflict if reply.status == 409 else Refused)("Service", message)


async def until(look: Callable[[], Awaitable[T | None]], what: str, timeout_s: float) -> T:
    """What `look` finds, once it finds something. Raises Unavailable when that takes too long."""
    began = time.monotonic()
    while True:
        found = await look()
        if found is not None:
            return found
        if time.monotonic() - began > timeout_s:
            raise Unavailable("TooSlow", f"{what} takes longer than {timeout_s:.0f} s")
        await asyncio.sleep(LOOK_S)
