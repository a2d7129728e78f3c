"""Which roles a user has on something, all sources together: what a token for it will carry."""

from __future__ import annotations

import sqlalchemy as sa

from authd import rows
from authd.rows import Row
from authd.tables import assignment, role
from core.database import Connection

TABLE = assignment.assignment


async def grant(
    db: Connection, actor: tuple[str, str], target: tuple[str, str], role_id: str
) -> None:
    """Give ("user" or "group", id) a role on ("project", "domain" or "system", id), unless it has it."""
    row = {
        "actor": actor[0],
        "actor_id": actor[1],
        "target": target[0],
        "target_id": target[1],
        "role_id": role_id,
        "inherited": False,
    }
    conditions = [TABLE.c[name] == value for name, value in row.items()]
    if await rows.first(db, sa.select(TABLE).where(*conditions)) is None:
        await rows.insert(db, TABLE, row)


async def effective(db: Connection, user_id: str, target: str, target_id: str) -> list[Row]:
    """Roles (id, name) of a user on a target, implied ones included, by name."""
    statement = (
        sa.select(role.role)
        .join(TABLE, TABLE.c.role_id == role.role.c.id)
        .where(
            TABLE.c.actor == "user",
            TABLE.c.actor_id == user_id,
            TABLE.c.target == target,
            TABLE.c.target_id == target_id,
            TABLE.c.inherited.is_(sa.false()),
        )
    )
    direct = {row["id"]: row for row in await rows.rows(db, statement)}
    return await with_implied(db, direct)


async def with_implied(db: Connection, found: dict[str, Row]) -> list[Row]:
    """Roles and all they imply. Domain roles count only through what they imply."""
    implied = role.implied_role
    level = list(found)
    while level:
        statement = (
            sa.select(role.role)
            .join(implied, implied.c.implied_role_id == role.role.c.id)
            .where(implied.c.prior_role_id.in_(level))
        )
        new = {row["id"]: row for row in await rows.rows(db, statement) if row["id"] not in found}
        found |= new
        level = list(new)
    return sorted((row for row in found.values() if not row["domain_id"]), key=lambda r: r["name"])
