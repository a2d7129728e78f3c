"""Trusts and what becomes of them when their ground is gone."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from authd import revocations
from authd.tables import role, trust, user
from core import rows
from core.api.fault import not_found
from core.database import Connection
from core.revocation import TRUST
from core.rows import Row

TABLE = trust.trust
ROLES = trust.trust_role


async def get(db: Connection, trust_id: str, now_us: int) -> Row:
    """The trust. Raises Fault 404 when there is none, it has ended or it is used up."""
    row = await rows.by_id(db, TABLE, trust_id)
    if row is None or ended(row, now_us):
        raise not_found("trust", trust_id)
    return row


def ended(row: Row, now_us: int) -> bool:
    """It can no longer be used."""
    return row["remaining_uses"] == 0 or (row["expires_us"] or now_us + 1) <= now_us


async def roles_of(db: Connection, trust_id: str) -> list[Row]:
    """The roles it lends, in order of their ids."""
    statement = (
        sa.select(role.role)
        .join(ROLES, ROLES.c.role_id == role.role.c.id)
        .where(ROLES.c.trust_id == trust_id)
        .order_by(role.role.c.id)
    )
    return await rows.rows(db, statement)


async def create(db: Connection, row: Row, role_ids: Collection[str]) -> None:
    """Add a trust."""
    await rows.insert(db, TABLE, row)
    for role_id in sorted(role_ids):
        await rows.insert(db, ROLES, {"trust_id": row["id"], "role_id": role_id})


async def delete(db: Connection, trust_id: str, now_us: int) -> None:
    """Remove a trust and all that were passed on from it; their tokens are revoked."""
    level = [trust_id]
    while level:
        for one in level:
            await revocations.add(db, TRUST, one, now_us)
        below = sa.select(TABLE.c.id).where(TABLE.c.redelegated_trust_id.in_(level))
        level = [row["id"] for row in await rows.rows(db, below)]
    await rows.delete(db, TABLE, TABLE.c.id == trust_id)


async def delete_of_user(db: Connection, user_id: str, now_us: int) -> None:
    """Remove those of a trustor or trustee who goes."""
    mine = (TABLE.c.trustor_user_id == user_id) | (TABLE.c.trustee_user_id == user_id)
    await _delete_where(db, mine, now_us)


async def delete_of_project(db: Connection, project_id: str, now_us: int) -> None:
    """Remove those for a project that goes."""
    await _delete_where(db, TABLE.c.project_id == project_id, now_us)


async def delete_of_role(db: Connection, role_id: str, now_us: int) -> None:
    """Remove those that lend a role which goes."""
    lending = sa.select(ROLES.c.trust_id).where(ROLES.c.role_id == role_id)
    await _delete_where(db, TABLE.c.id.in_(lending), now_us)


async def _delete_where(db: Connection, condition: sa.ColumnElement[bool], now_us: int) -> None:
    for row in await rows.rows(db, sa.select(TABLE.c.id).where(condition)):
        await delete(db, row["id"], now_us)


async def revoke_of_domain(db: Connection, domain_id: str, now_us: int) -> None:
    """Revoke what was lent by users of a domain that is disabled or goes: such a token may name another domain only."""
    lenders = sa.select(user.user.c.id).where(user.user.c.domain_id == domain_id)
    lent = sa.select(TABLE.c.id).where(TABLE.c.trustor_user_id.in_(lenders))
    for row in await rows.rows(db, lent):
        await revocations.add(db, TRUST, row["id"], now_us)
