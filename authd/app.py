"""The identity service put together: tables brought up to date, bootstrap, routes."""

from __future__ import annotations

from pathlib import Path

from authd import revocations, settings
from authd.api.discovery import Discovery
from authd.authority import Authority
from authd.migrations import SCHEMA
from authd.oidc import OpenIdConnect
from authd.passcodes import Passcodes
from authd.password import Hasher
from authd.resources import RESOURCES
from authd.rules import RULES
from authd.vault import DIRECTORY, Vault
from core.api.app import App
from core.api.fault import unauthorized
from core.api.route import Route, RouteTable
from core.authenticator import Authenticator
from core.database import Database, migrate
from core.env import Env
from core.errors import Refused
from core.http import Request
from core.identity import Identity
from core.keyring import Keyring
from core.policy import Policy
from core.revocation import RevocationList

PREFIX = "/identity"


async def open_authority(
    env: Env, database: Database, keyring: Keyring, *, policy_file: Path, federation_file: Path
) -> Authority:
    """Bring the tables up to date and read what must be in memory."""
    await migrate(database, SCHEMA)
    policy = Policy(RULES, policy_file)
    vault = Vault(keyring.directory.parent / DIRECTORY, env)
    authority = Authority(
        env,
        database,
        policy,
        keyring,
        Hasher(env),
        RevocationList(),
        vault,
        Passcodes(),
        OpenIdConnect(env, federation_file),
        settings.load(policy_file.with_name(settings.FILE)),
    )

    async def follow() -> None:
        await revocations.follow(database, authority.revoked)

    await follow()
    database.committed.append(follow)
    return authority


NOT_BUILT = ("v3/OS-OAUTH1", "v3/OS-SIMPLE-CERT")  # docs/conformance-identity.md


def routes_of(authority: Authority) -> list[Route]:
    """Every operation of the Identity API."""
    routes = [route for resource in RESOURCES for route in resource(authority).routes()]
    return routes + Discovery(routes).routes()


def bearer_of(request: Request) -> str | None:
    """An access token in `Authorization: Bearer` (RFC 6750), or None."""
    kind, _, token = (request.header("authorization") or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def make_app(authority: Authority, address: str) -> App:
    """The API over an authority. `address` is where it is when a client does not say (`http://host:port`)."""
    verifier = Authenticator(authority.env, authority.keyring, authority.revoked)

    async def authenticate(request: Request) -> Identity | None:
        token = request.header("x-auth-token") or bearer_of(request)
        if token is None:
            return None
        try:
            return verifier.verify(token)
        except Refused:
            raise unauthorized() from None

    return App(
        authority.env,
        RouteTable(routes_of(authority), not_built=NOT_BUILT),
        prefix=PREFIX,
        policy=authority.policy,
        authenticate=authenticate,
        address=address,
    )
