"""Users and the passwords they log in with."""

from __future__ import annotations

import sqlalchemy as sa

from authd import revocations, trusts
from authd.tables import assignment, user
from core import rows
from core.api.fault import conflict, not_found
from core.database import Connection
from core.revocation import USER
from core.rows import Row

TABLE = user.user
PASSWORDS = user.password
FEW = 500  # ids in one statement; databases limit their parameters


async def get(db: Connection, user_id: str) -> Row:
    """The user. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, user_id)
    if row is None:
        raise not_found("user", user_id)
    return row


async def named(db: Connection, domain_id: str, name: str) -> Row | None:
    """The user of this name in a domain."""
    found = await rows.matching(db, TABLE, domain_id=domain_id, name=name)
    return found[0] if found else None


async def create(db: Connection, row: Row) -> None:
    """Add a user. Raises Fault 409 when the name is taken in the domain."""
    await _check_name(db, row["domain_id"], row["name"], row["id"])
    await rows.insert(db, TABLE, row)


async def _check_name(db: Connection, domain_id: str, name: str, own_id: str) -> None:
    other = await named(db, domain_id, name)
    if other is not None and other["id"] != own_id:
        raise conflict(
            f"Conflict occurred attempting to store user - Duplicate entry found with name {name}."
        )


async def update(db: Connection, old: Row, changes: Row, now_us: int) -> None:
    """Change a user; disabling revokes all tokens of theirs, enabling lifts a lock."""
    if "name" in changes:
        await _check_name(db, old["domain_id"], changes["name"], old["id"])
    if changes.get("enabled") is True:
        changes = {**changes, "failed_count": 0, "active_us": now_us}
    await rows.update(db, TABLE, old["id"], changes)
    if changes.get("enabled") is False and old["enabled"]:
        await revocations.add(db, USER, old["id"], now_us)


async def delete(db: Connection, row: Row, now_us: int) -> None:
    """Remove a user, what was granted to them, and every token of theirs."""
    grants = assignment.assignment
    await rows.delete(db, grants, grants.c.actor == "user", grants.c.actor_id == row["id"])
    await trusts.delete_of_user(db, row["id"], now_us)
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
    await revocations.add(db, USER, row["id"], now_us)


async def current_password(db: Connection, user_id: str) -> Row | None:
    """The newest password, or None when the user has none."""
    newest = sa.select(PASSWORDS).where(PASSWORDS.c.user_id == user_id)
    return await rows.first(db, newest.order_by(PASSWORDS.c.id.desc()).limit(1))


async def with_expiry(db: Connection, found: list[Row]) -> list[Row]:
    """Users with when their newest password expires (`expires_us`)."""
    newest = sa.select(sa.func.max(PASSWORDS.c.id)).group_by(PASSWORDS.c.user_id)
    if len(found) <= FEW:
        newest = newest.where(PASSWORDS.c.user_id.in_([row["id"] for row in found]))
    statement = sa.select(PASSWORDS.c.user_id, PASSWORDS.c.expires_us).where(
        PASSWORDS.c.id.in_(newest)
    )
    ends = {row["user_id"]: row["expires_us"] for row in await rows.rows(db, statement)}
    return [{**row, "expires_us": ends.get(row["id"])} for row in found]


async def set_password(
    db: Connection,
    user_id: str,
    hashed: str,
    *,
    now_us: int,
    self_service: bool,
    expires_us: int | None = None,
    kept: int = 1,
) -> None:
    """Give a user a new password and keep the `kept` newest in all; tokens that the old one made are revoked.

    An administrator's reset also lifts a lock.
    """
    await rows.insert(
        db,
        PASSWORDS,
        {
            "user_id": user_id,
            "hash": hashed,
            "created_us": now_us,
            "expires_us": expires_us,
            "self_service": self_service,
        },
    )
    for old in (await passwords(db, user_id))[max(1, kept) :]:
        await rows.delete(db, PASSWORDS, PASSWORDS.c.id == old["id"])
    if not self_service:
        await rows.update(db, TABLE, user_id, {"failed_count": 0})
    await revocations.add(db, USER, user_id, now_us)


async def passwords(db: Connection, user_id: str) -> list[Row]:
    """A user's passwords that are kept, newest first."""
    statement = sa.select(PASSWORDS).where(PASSWORDS.c.user_id == user_id)
    return await rows.rows(db, statement.order_by(PASSWORDS.c.id.desc()))
