"""Application credentials, and the access rules that narrow them to certain requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from authd import grants, revocations
from authd.tables import application_credential as tables
from authd.tables import role
from core import rows
from core.api.fault import conflict, forbidden, not_found
from core.database import Connection
from core.revocation import APPLICATION_CREDENTIAL
from core.rows import Row

TABLE = tables.application_credential
ROLES = tables.application_credential_role
RULES = tables.access_rule
RULE_LINKS = tables.application_credential_rule


async def get(db: Connection, credential_id: str) -> Row:
    """The application credential. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, credential_id)
    if row is None:
        raise not_found("application credential", credential_id)
    return row


async def named(db: Connection, user_id: str, name: str) -> Row | None:
    """The application credential of this name that a user has."""
    found = await rows.matching(db, TABLE, user_id=user_id, name=name)
    return found[0] if found else None


async def roles_of(db: Connection, credential_id: str) -> list[Row]:
    """Its roles, in order of their ids."""
    statement = (
        sa.select(role.role)
        .join(ROLES, ROLES.c.role_id == role.role.c.id)
        .where(ROLES.c.credential_id == credential_id)
        .order_by(role.role.c.id)
    )
    return await rows.rows(db, statement)


async def rules_of(db: Connection, credential_id: str) -> list[Row]:
    """Its access rules, in order of their ids."""
    statement = (
        sa.select(RULES)
        .join(RULE_LINKS, RULE_LINKS.c.access_rule_id == RULES.c.id)
        .where(RULE_LINKS.c.credential_id == credential_id)
        .order_by(RULES.c.id)
    )
    return await rows.rows(db, statement)


async def create(
    db: Connection, row: Row, role_ids: Sequence[str], rules: Sequence[dict[str, Any]]
) -> None:
    """Add one; `rules` name known rules by `id` or are added as they are. Raises Fault 404 or 409."""
    if await named(db, row["user_id"], row["name"]) is not None:
        raise conflict(
            "Conflict occurred attempting to store application_credential - Duplicate entry found"
            f" with name {row['name']}."
        )
    await rows.insert(db, TABLE, row)
    for role_id in role_ids:
        await rows.insert(db, ROLES, {"credential_id": row["id"], "role_id": role_id})
    linked: set[str] = set()
    for rule in rules:
        rule_id = await _rule(db, row["user_id"], rule)
        if rule_id not in linked:
            linked.add(rule_id)
            link = {"credential_id": row["id"], "access_rule_id": rule_id}
            await rows.insert(db, RULE_LINKS, link)


async def _rule(db: Connection, user_id: str, given: dict[str, Any]) -> str:
    """Id of an access rule of the user: one they have, or a new one."""
    parts: Row = {name: given[name] for name in ("service", "method", "path") if name in given}
    if len(parts) < 3:
        return str((await get_rule(db, user_id, given["id"]))["id"])
    same = await rows.matching(db, RULES, user_id=user_id, **parts)
    if same:
        return str(same[0]["id"])
    await rows.insert(db, RULES, {"id": given["id"], "user_id": user_id, **parts})
    return str(given["id"])


async def delete(db: Connection, row: Row, now_us: int) -> None:
    """Remove one; its tokens are revoked, its access rules stay."""
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
    await revocations.add(db, APPLICATION_CREDENTIAL, row["id"], now_us)


async def forget_unfounded(db: Connection, user_id: str, now_us: int) -> None:
    """Remove those of a user that hold a role which the user has lost on the project."""
    for row in await rows.matching(db, TABLE, user_id=user_id):
        held = await grants.effective(db, user_id, "project", row["project_id"])
        wanted = {one["id"] for one in await roles_of(db, row["id"])}
        if not wanted <= {one["id"] for one in held}:
            await delete(db, row, now_us)


async def get_rule(db: Connection, user_id: str, rule_id: str) -> Row:
    """A user's access rule. Raises Fault 404."""
    row = await rows.by_id(db, RULES, rule_id)
    if row is None or row["user_id"] != user_id:
        raise not_found("access rule", rule_id)
    return row


async def delete_rule(db: Connection, row: Row) -> None:
    """Remove an access rule. Raises Fault 403 while a credential has it."""
    statement = sa.select(RULE_LINKS).where(RULE_LINKS.c.access_rule_id == row["id"])
    if await rows.first(db, statement) is not None:
        raise forbidden(
            f"Can't delete access rule {row['id']}: it is used by an application credential."
        )
    await rows.delete(db, RULES, RULES.c.id == row["id"])
