"""Groups of users, and who is in them. What is granted to a group counts for each member."""

from __future__ import annotations

import sqlalchemy as sa

from authd import revocations
from authd.tables import assignment, group, user
from core import rows
from core.api.fault import conflict, not_found
from core.database import Connection
from core.revocation import USER
from core.rows import Row

TABLE = group.group
MEMBERSHIP = group.membership


async def get(db: Connection, group_id: str) -> Row:
    """The group. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, group_id)
    if row is None:
        raise not_found("group", group_id)
    return row


async def named(db: Connection, domain_id: str, name: str) -> Row | None:
    """The group of this name in a domain."""
    found = await rows.matching(db, TABLE, domain_id=domain_id, name=name)
    return found[0] if found else None


async def create(db: Connection, row: Row) -> None:
    """Add a group. Raises Fault 409."""
    await _check_name(db, row["domain_id"], row["name"], row["id"])
    await rows.insert(db, TABLE, row)


async def _check_name(db: Connection, domain_id: str, name: str, own_id: str) -> None:
    other = await named(db, domain_id, name)
    if other is not None and other["id"] != own_id:
        raise conflict(
            f"Conflict occurred attempting to store group - Duplicate entry found with name {name}."
        )


async def update(db: Connection, old: Row, changes: Row) -> None:
    """Change a group. Raises Fault 409."""
    if "name" in changes:
        await _check_name(db, old["domain_id"], changes["name"], old["id"])
    await rows.update(db, TABLE, old["id"], changes)


async def delete(db: Connection, row: Row, now_us: int) -> None:
    """Remove a group and what was granted to it; its members' tokens are revoked."""
    await revoke_members(db, row["id"], now_us)
    grants = assignment.assignment
    await rows.delete(db, grants, grants.c.actor == "group", grants.c.actor_id == row["id"])
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])


async def revoke_members(db: Connection, group_id: str, now_us: int) -> None:
    """Revoke all tokens of a group's members: somebody took away what they may carry."""
    for user_id in await member_ids(db, group_id):
        await revocations.add(db, USER, user_id, now_us)


async def member_ids(db: Connection, group_id: str) -> list[str]:
    """Ids of a group's members."""
    found = await rows.rows(
        db, sa.select(MEMBERSHIP.c.user_id).where(MEMBERSHIP.c.group_id == group_id)
    )
    return [row["user_id"] for row in found]


async def members(db: Connection, group_id: str) -> list[Row]:
    """The users in a group, in order of their ids."""
    users = user.user
    statement = (
        sa.select(users)
        .join(MEMBERSHIP, MEMBERSHIP.c.user_id == users.c.id)
        .where(MEMBERSHIP.c.group_id == group_id)
        .order_by(users.c.id)
    )
    return await rows.rows(db, statement)


async def of_user(db: Connection, user_id: str) -> list[Row]:
    """The groups that a user is in, in order of their ids."""
    statement = (
        sa.select(TABLE)
        .join(MEMBERSHIP, MEMBERSHIP.c.group_id == TABLE.c.id)
        .where(MEMBERSHIP.c.user_id == user_id)
        .order_by(TABLE.c.id)
    )
    return await rows.rows(db, statement)


async def contains(db: Connection, group_id: str, user_id: str) -> bool:
    """The user is in the group."""
    statement = sa.select(MEMBERSHIP).where(
        MEMBERSHIP.c.group_id == group_id, MEMBERSHIP.c.user_id == user_id
    )
    return await rows.first(db, statement) is not None


async def add(db: Connection, group_id: str, user_id: str) -> None:
    """Put a user into a group, unless they are in it."""
    if not await contains(db, group_id, user_id):
        await rows.insert(db, MEMBERSHIP, {"group_id": group_id, "user_id": user_id})


async def remove(db: Connection, group_id: str, user_id: str, now_us: int) -> None:
    """Take a user out of a group; their tokens are revoked. Raises Fault 404."""
    gone = await rows.delete(
        db, MEMBERSHIP, MEMBERSHIP.c.group_id == group_id, MEMBERSHIP.c.user_id == user_id
    )
    if not gone:
        raise not_found("user in group", user_id)
    await revocations.add(db, USER, user_id, now_us)
