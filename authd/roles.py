"""Roles, of the whole cloud or of one domain."""

from __future__ import annotations

import sqlalchemy as sa

from authd import revocations, trusts
from authd.tables import role
from core import rows
from core.api.fault import conflict, forbidden, not_found
from core.database import Connection
from core.revocation import ROLE
from core.rows import Row

TABLE = role.role
IMPLIED = role.implied_role
# Nothing implies it: who may edit inferences must not thereby become administrator of everything.
NEVER_IMPLIED = frozenset({"admin"})


async def get(db: Connection, role_id: str) -> Row:
    """The role. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, role_id)
    if row is None:
        raise not_found("role", role_id)
    return row


async def named(db: Connection, domain_id: str, name: str) -> Row | None:
    """The role of this name; `domain_id` is "" for those of the whole cloud."""
    found = await rows.matching(db, TABLE, domain_id=domain_id, name=name)
    return found[0] if found else None


async def create(db: Connection, row: Row) -> None:
    """Add a role. Raises Fault 409."""
    await _check_name(db, row["domain_id"], row["name"], row["id"])
    await rows.insert(db, TABLE, row)


async def _check_name(db: Connection, domain_id: str, name: str, own_id: str) -> None:
    other = await named(db, domain_id, name)
    if other is not None and other["id"] != own_id:
        raise conflict(
            f"Conflict occurred attempting to store role - Duplicate entry found with name {name}."
        )


async def update(db: Connection, old: Row, changes: Row, now_us: int) -> None:
    """Change a role; tokens carry names, so a new name revokes those that carry the old one."""
    if "name" in changes:
        await _check_name(db, old["domain_id"], changes["name"], old["id"])
        if changes["name"] != old["name"]:
            await revocations.add(db, ROLE, old["name"], now_us)
    await rows.update(db, TABLE, old["id"], changes)


async def delete(db: Connection, row: Row, now_us: int) -> None:
    """Remove a role; its grants and the trusts that lend it go with it, tokens that carry it are revoked."""
    await trusts.delete_of_role(db, row["id"], now_us)
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
    await revocations.add(db, ROLE, row["name"], now_us)


async def implied_by(db: Connection, prior_id: str) -> list[Row]:
    """The roles that a role implies directly, in order of their ids."""
    statement = (
        sa.select(TABLE)
        .join(IMPLIED, IMPLIED.c.implied_role_id == TABLE.c.id)
        .where(IMPLIED.c.prior_role_id == prior_id)
        .order_by(TABLE.c.id)
    )
    return await rows.rows(db, statement)


async def imply(db: Connection, prior: Row, implied: Row) -> None:
    """Make one role imply another. Raises Fault 403 for what must not be implied, and for cycles."""
    if implied["name"] in NEVER_IMPLIED and not implied["domain_id"]:
        raise forbidden(f"{implied['id']} cannot be an implied role.")
    if implied["domain_id"] and not prior["domain_id"]:
        raise forbidden("Global role cannot imply a domain-specific role")
    if prior["id"] in await closure(db, implied["id"]):
        raise forbidden(f"{implied['id']} cannot be an implied role: it implies {prior['id']}.")
    if not any(row["id"] == implied["id"] for row in await implied_by(db, prior["id"])):
        await rows.insert(
            db, IMPLIED, {"prior_role_id": prior["id"], "implied_role_id": implied["id"]}
        )


async def closure(db: Connection, role_id: str) -> set[str]:
    """Ids of a role and of all that it implies."""
    found, level = {role_id}, [role_id]
    while level:
        below = await rows.rows(db, sa.select(IMPLIED).where(IMPLIED.c.prior_role_id.in_(level)))
        level = [row["implied_role_id"] for row in below if row["implied_role_id"] not in found]
        found.update(level)
    return found


async def stop_implying(db: Connection, prior: Row, implied: Row, now_us: int) -> None:
    """End an inference; tokens that carry the prior role are revoked. Raises Fault 404."""
    gone = await rows.delete(
        db,
        IMPLIED,
        IMPLIED.c.prior_role_id == prior["id"],
        IMPLIED.c.implied_role_id == implied["id"],
    )
    if not gone:
        raise not_found("role inference", f"{prior['id']} implies {implied['id']}")
    await revocations.add(db, ROLE, implied["name"], now_us)
