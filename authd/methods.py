"""The methods of a log-in: each turns what a client presents into a proof of who it is, or a 401.

All refusals of one kind look the same and take as long, so that they tell nothing about who exists.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from authd import domains, rows, users
from authd.authority import Authority
from authd.proof import Proof
from authd.rows import Row
from authd.scope import Name, name_of
from core.api.fault import bad_request, unauthorized
from core.authenticator import Authenticator
from core.database import Connection
from core.errors import Refused

PASSWORD_CHARS_MAX = 4096

Method = Callable[[Authority, dict[str, Any]], Awaitable[Proof]]


async def find_user(db: Connection, name: Name) -> Row | None:
    """The user a body names, if they are there and enabled, as is their domain."""
    if name.id:
        row = await rows.by_id(db, users.TABLE, name.id)
    else:
        domain_id = name.domain_id
        if not domain_id:
            domain = await domains.named(db, name.domain_name)
            domain_id = domain["id"] if domain else ""
        row = await users.named(db, domain_id, name.name)
    if row is None or not row["enabled"]:
        return None
    domain = await rows.by_id(db, domains.TABLE, row["domain_id"])
    return row if domain is not None and domain["enabled"] else None


async def password(authority: Authority, given: dict[str, Any]) -> Proof:
    """`{"user": {"id" | "name" + "domain", "password"}}`."""
    user = given.get("user")
    if not isinstance(user, dict) or not isinstance(user.get("password"), str):
        raise bad_request("Expecting to find user.password in password.")
    if len(user["password"]) > PASSWORD_CHARS_MAX:
        raise unauthorized()
    name = name_of(user, "password.user")
    async with authority.database.read() as db:
        row = await find_user(db, name)
        stored = await users.current_password(db, row["id"]) if row else None
    fits = await authority.hasher.verify(user["password"], stored["hash"] if stored else None)
    if row is None or not fits:
        raise unauthorized()
    return Proof(row, ("password",))


async def token(authority: Authority, given: dict[str, Any]) -> Proof:
    """`{"id": "<token>"}`: the new token never outlives the old one."""
    presented = given.get("id")
    if not isinstance(presented, str):
        raise bad_request("Expecting to find id in token.")
    verifier = Authenticator(authority.env, authority.keyring, authority.revoked)
    try:
        identity = verifier.verify(presented)
    except Refused:
        raise unauthorized() from None
    async with authority.database.read() as db:
        row = await find_user(db, Name(id=identity.user_id))
    if row is None:
        raise unauthorized()
    return Proof(
        row,
        (*identity.methods, "token"),
        identity.expires_us,
        identity.chain_id,
        identity.federation,
    )


METHODS: Mapping[str, Method] = {"password": password, "token": token}
