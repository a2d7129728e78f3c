"""Roles, of the whole cloud or of one domain."""

from __future__ import annotations

from authd import revocations, rows
from authd.rows import Row
from authd.tables import role
from core.api.fault import conflict, not_found
from core.database import Connection
from core.revocation import ROLE

TABLE = role.role
IMPLIED = role.implied_role


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
    """Remove a role; its grants go with it, and tokens that carry it are revoked."""
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
    await revocations.add(db, ROLE, row["name"], now_us)
