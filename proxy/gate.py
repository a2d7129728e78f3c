"""The way in: tokens, access keys and log-ins become callers here, and nowhere else.

`Gate` is what both dialects see. `LinkGate` verifies tokens in this process and asks the identity service for
what a token does not hold; the tests have a gate of fixed credentials.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from core.http import Request
from core.identity_link import IdentityLink
from proxy.identity import AccessKey, Identity, caller_of

SERVICE_TYPE = "object-store"


class Login(NamedTuple):
    """A token, who it stands for and its last moment (microseconds since 1970)."""

    token: str
    identity: Identity
    expires_us: int


class Gate(Protocol):
    """Turns what clients present into callers."""

    async def identify(self, token: str, request: Request) -> Identity:
        """The caller of a token, who may make this request. Raises Refused, Unavailable."""
        ...

    async def access_key(self, access: str) -> AccessKey | None:
        """The secret of an access key, None when there is none. Raises Unavailable."""
        ...

    async def login(self, user: str, key: str) -> Login | None:
        """Log in as Swift's /auth/v1.0 has it; None when refused. Raises Unavailable."""
        ...


class LinkGate:
    """The gate over the identity service."""

    def __init__(self, link: IdentityLink) -> None:
        self._link = link

    async def identify(self, token: str, request: Request) -> Identity:
        """Verified here; only restricted application credentials need a look-up, now and then."""
        identity = self._link.verify(token)
        if identity.access_limited:
            await self._link.check_access(identity, SERVICE_TYPE, request.method, request.path)
        return caller_of(identity)

    async def access_key(self, access: str) -> AccessKey | None:
        """Looked up once, then remembered until something about it is revoked."""
        found = await self._link.access_key(access)
        return None if found is None else AccessKey(found.secret, caller_of(found.identity))

    async def login(self, user: str, key: str) -> Login | None:
        """By the identity service."""
        reply = await self._link.login(user, key)
        if reply is None:
            return None
        return Login(reply.token, caller_of(reply.identity), reply.identity.expires_us)
