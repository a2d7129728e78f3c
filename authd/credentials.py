"""Credentials: secrets that users keep here, encrypted. EC2 credentials sign S3 and EC2 requests."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from authd import revocations
from authd.tables import credential
from authd.vault import Vault
from core import rows
from core.api.fault import bad_request, conflict, not_found
from core.database import Connection
from core.revocation import CREDENTIAL
from core.rows import Row

TABLE = credential.credential
EC2 = "ec2"
# What binds an EC2 credential to the delegation it was made by; it never changes.
BOUND = ("trust_id", "app_cred_id", "access_token_id", "access_id")


def ec2_id(access: str) -> str:
    """Id of the credential with this access key."""
    return hashlib.sha256(access.encode()).hexdigest()


def ec2_blob(blob: str) -> dict[str, Any]:
    """The JSON object of an EC2 credential's blob. Raises Fault 400 without `access`."""
    try:
        found = msgspec.json.decode(blob)
    except (msgspec.MsgspecError, RecursionError):
        raise bad_request("Invalid blob in credential") from None
    if not isinstance(found, dict) or not found:
        raise bad_request("Expecting to find blob in credential.")
    for name in ("access", "secret"):
        value = found.get(name)
        if (value is None and name == "access") or not isinstance(value, str | None):
            raise bad_request(f"Expecting to find {name} in credential.")
    return found


async def get(db: Connection, vault: Vault, credential_id: str) -> Row:
    """The credential with its `blob` in clear. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, credential_id)
    if row is None:
        raise not_found("credential", credential_id)
    return opened(vault, row)


def opened(vault: Vault, row: Row) -> Row:
    """A row with `blob` instead of `sealed`."""
    blob = vault.open(row["id"], row["sealed"])
    return {**{name: row[name] for name in row if name not in {"sealed", "lookup"}}, "blob": blob}


async def get_ec2(db: Connection, vault: Vault, access: str) -> Row | None:
    """What signs with an access key: access, secret, user_id, project_id, trust_id, application_credential_id."""
    found = await rows.matching(db, TABLE, lookup=ec2_id(access))
    if not found:
        return None
    row = opened(vault, found[0])
    blob = ec2_blob(row["blob"])
    if not blob.get("secret"):
        return None
    return {
        "access": blob["access"],
        "secret": blob["secret"],
        "user_id": row["user_id"],
        "project_id": row["project_id"],
        "trust_id": blob.get("trust_id"),
        "application_credential_id": blob.get("app_cred_id"),
    }


async def of_user(db: Connection, vault: Vault, user_id: str, kind: str) -> list[Row]:
    """The credentials of one type that a user has (`ec2`, `totp`, …), in clear."""
    found = await rows.matching(db, TABLE, user_id=user_id, type=kind)
    return [opened(vault, row) for row in found]


async def create(db: Connection, vault: Vault, row: Row) -> None:
    """Add a credential (`blob` in clear). Raises Fault 409 when an access key is taken."""
    if await rows.by_id(db, TABLE, row["id"]) is not None:
        raise conflict(f"Conflict occurred attempting to store credential - {row['id']} exists.")
    sealed = await _sealed(db, vault, row)
    await rows.insert(db, TABLE, sealed)


async def _sealed(db: Connection, vault: Vault, row: Row) -> Row:
    """A row as it is stored. Raises Fault 409 when its access key is another credential's."""
    lookup = None
    if row["type"].lower() == EC2:
        lookup = ec2_id(ec2_blob(row["blob"])["access"])
        for other in await rows.matching(db, TABLE, lookup=lookup):
            if other["id"] != row["id"]:
                raise conflict("Conflict occurred attempting to store credential - it exists.")
    kept = {name: value for name, value in row.items() if name != "blob"}
    return {**kept, "sealed": vault.seal(row["id"], row["blob"]), "lookup": lookup}


async def get_by_access(db: Connection, vault: Vault, access: str) -> Row:
    """The EC2 credential with this access key. Raises Fault 404."""
    found = await rows.matching(db, TABLE, lookup=ec2_id(access))
    if not found:
        raise not_found("credential", access)
    return opened(vault, found[0])


async def update(db: Connection, vault: Vault, old: Row, changes: Row, now_us: int) -> None:
    """Change a credential; an EC2 key that changes counts no more as it was."""
    row = {**old, **changes}
    await rows.update(db, TABLE, old["id"], await _sealed(db, vault, row))
    await _revoke(db, old, now_us)


async def delete(db: Connection, row: Row, now_us: int) -> None:
    """Remove a credential."""
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
    await _revoke(db, row, now_us)


async def _revoke(db: Connection, row: Row, now_us: int) -> None:
    if row["type"].lower() == EC2:
        access = ec2_blob(row["blob"])["access"]
        await revocations.add(db, CREDENTIAL, access, now_us)


async def delete_of_project(db: Connection, project_id: str) -> None:
    """Remove those bound to a project that goes (whose tokens and keys are revoked with it)."""
    await rows.delete(db, TABLE, TABLE.c.project_id == project_id)
