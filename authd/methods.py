"""The methods of a log-in: each turns what a client presents into a proof of who it is, or a 401.

All refusals of one kind look the same and take as long, so that they tell nothing about who exists.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from authd import credentials, domains, logins, users
from authd.authority import Authority
from authd.proof import Proof
from authd.scope import Name, name_of
from authd.tables import application_credential as application_credential_tables
from authd.totp import matching_window
from core import rows
from core.api.fault import bad_request, forbidden, not_found, unauthorized
from core.authenticator import Authenticator
from core.database import Connection
from core.errors import Refused
from core.identity import Identity
from core.rows import Row

PASSWORD_CHARS_MAX = 4096
SIGNED = frozenset(
    {"ec2credential", "s3"}
)  # an EC2 key is for one project, and so is what it makes

APPLICATION_CREDENTIALS = application_credential_tables.application_credential

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
    await logins.check(authority, row, user["password"])
    assert row is not None
    return Proof(row, ("password",))


async def token(authority: Authority, given: dict[str, Any]) -> Proof:
    """`{"id": "<token>"}`: the new token never outlives the old one, nor reaches beyond its delegation."""
    presented = given.get("id")
    if not isinstance(presented, str):
        raise bad_request("Expecting to find id in token.")
    verifier = Authenticator(authority.env, authority.keyring, authority.revoked)
    try:
        identity = verifier.verify(presented)
    except Refused:
        raise not_found("token", "the token that was presented") from None
    if identity.trust_id or SIGNED.intersection(identity.methods):
        raise forbidden("A token of a trust or of a signature cannot be used to get another token.")
    return await of_identity(authority, identity)


async def of_identity(authority: Authority, identity: Identity) -> Proof:
    """The proof that a token or receipt of ours is. Raises Fault 401."""
    async with authority.database.read() as db:
        row = await find_user(db, Name(id=identity.user_id))
        credential = None
        if identity.application_credential_id:
            credential = await rows.by_id(
                db, APPLICATION_CREDENTIALS, identity.application_credential_id
            )
            if credential is None:
                raise unauthorized()
    if row is None:
        raise unauthorized()
    methods = identity.methods if "token" in identity.methods else (*identity.methods, "token")
    return Proof(
        row,
        methods,
        identity.expires_us,
        identity.chain_id,
        identity.federation,
        application_credential=credential,
        thumbprint=identity.thumbprint,
    )


async def totp(authority: Authority, given: dict[str, Any]) -> Proof:
    """`{"user": {"id" | "name" + "domain", "passcode"}}`. A passcode counts once."""
    user = given.get("user")
    if not isinstance(user, dict) or not isinstance(user.get("passcode"), str):
        raise bad_request("Expecting to find user.passcode in totp.")
    name = name_of(user, "totp.user")
    async with authority.database.read() as db:
        row = await find_user(db, name)
        if row is None:
            raise unauthorized()
        found = await credentials.of_user(db, authority.vault, row["id"], "totp")
    secrets = [one["blob"] for one in found]
    window = matching_window(secrets, user["passcode"], authority.now_us() // 1_000_000)
    if window is None or not authority.passcodes.take(row["id"], window):
        raise unauthorized()
    return Proof(row, ("totp",))


async def application_credential(authority: Authority, given: dict[str, Any]) -> Proof:
    """`{"id" | "name" + "user", "secret"}`."""
    secret = given.get("secret")
    if not isinstance(secret, str):
        raise bad_request("Expecting to find secret in application_credential.")
    if len(secret) > PASSWORD_CHARS_MAX:
        raise unauthorized()
    async with authority.database.read() as db:
        credential = await _find_application_credential(db, given)
        row = await find_user(db, Name(id=credential["user_id"])) if credential else None
    fits = await authority.hasher.verify(secret, credential["hash"] if credential else None)
    if credential is None or row is None or not fits:
        raise unauthorized()
    expires_us = credential["expires_us"]
    if expires_us is not None and authority.now_us() >= expires_us:
        raise unauthorized()
    return Proof(row, ("application_credential",), expires_us, application_credential=credential)


async def _find_application_credential(db: Connection, given: dict[str, Any]) -> Row | None:
    if given.get("id") is not None:
        name = name_of(given, "application_credential")
        return await rows.by_id(db, APPLICATION_CREDENTIALS, name.id)
    label = given.get("name")
    if not isinstance(label, str):
        raise bad_request("Expecting to find id or name in application_credential.")
    user = await find_user(db, name_of(given.get("user"), "application_credential.user"))
    if user is None:
        return None
    found = await rows.matching(db, APPLICATION_CREDENTIALS, user_id=user["id"], name=label)
    return found[0] if found else None


METHODS: Mapping[str, Method] = {
    "password": password,
    "token": token,
    "totp": totp,
    "application_credential": application_credential,
}
