"""Who comes in to the services beside identity: a token that holds, and is not restricted to other requests.

A token of an application credential with access rules opens a service only for the requests that its rules name.
"""

from __future__ import annotations

from authd.authority import Authority
from authd.tokens import access_rules_of
from core.access_rules import AccessRule, permits
from core.api.app import Authenticate
from core.api.fault import unauthorized
from core.authenticator import Authenticator
from core.errors import Refused
from core.http import Request
from core.identity import Identity

CREDENTIALS_MAX = 10_000


def door(authority: Authority, service_type: str, prefix: str) -> Authenticate:
    """How a service below `prefix`, of a type as the catalog names it, knows its callers."""
    verifier = Authenticator(authority.env, authority.keyring, authority.revoked)
    remembered: dict[str, tuple[AccessRule, ...]] = {}  # rules never change

    async def rules_of(credential: str) -> tuple[AccessRule, ...]:
        if credential not in remembered:
            async with authority.database.read() as db:
                found = await access_rules_of(db, credential)
            if len(remembered) >= CREDENTIALS_MAX:
                remembered.clear()
            remembered[credential] = tuple(
                AccessRule(row["service"], row["method"], row["path"]) for row in found
            )
        return remembered[credential]

    async def authenticate(request: Request) -> Identity | None:
        token = request.header("x-auth-token")
        if token is None:
            return None
        try:
            identity = verifier.verify(token)
        except Refused:
            raise unauthorized() from None
        if identity.access_limited:
            rules = await rules_of(identity.application_credential_id)
            path = request.path.removeprefix(prefix)
            if not permits(rules, service_type, request.method, path):
                raise unauthorized()
        return identity

    return authenticate
