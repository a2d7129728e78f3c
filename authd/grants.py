"""Which roles a user has on something, all sources together: what a token for it will carry.

Sources: grants to the user and to groups they are in; on a project also what is granted "inherited" on a project
above it or on its domain. What is granted as inherited does not count on the place itself.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from authd import projects, revocations
from authd.tables import assignment, group, project, role
from core import rows
from core.api.fault import not_found
from core.database import Connection
from core.revocation import GRANT, USER
from core.rows import Row

TABLE = assignment.assignment
MEMBERSHIP = group.membership
SYSTEM = ("system", "system")

Actor = tuple[str, str]  # "user" or "group", id
Target = tuple[str, str]  # "project", "domain" or "system", id


def _row(actor: Actor, target: Target, role_id: str, *, inherited: bool) -> Row:
    return {
        "actor": actor[0],
        "actor_id": actor[1],
        "target": target[0],
        "target_id": target[1],
        "role_id": role_id,
        "inherited": inherited,
    }


def _conditions(row: Row) -> list[sa.ColumnElement[bool]]:
    return [TABLE.c[name] == value for name, value in row.items()]


async def grant(
    db: Connection, actor: Actor, target: Target, role_id: str, *, inherited: bool = False
) -> None:
    """Give a role, unless it is given."""
    row = _row(actor, target, role_id, inherited=inherited)
    if await rows.first(db, sa.select(TABLE).where(*_conditions(row))) is None:
        await rows.insert(db, TABLE, row)


async def check(
    db: Connection, actor: Actor, target: Target, role_id: str, *, inherited: bool
) -> None:
    """Raises Fault 404 unless the role is given."""
    row = _row(actor, target, role_id, inherited=inherited)
    if await rows.first(db, sa.select(TABLE).where(*_conditions(row))) is None:
        raise not_found("role assignment", f"{role_id} of {actor[0]} {actor[1]}")


async def given(db: Connection, actor: Actor, target: Target, *, inherited: bool) -> list[Row]:
    """Roles that are given to just this actor on just this target."""
    conditions = _conditions(_row(actor, target, "", inherited=inherited))
    del conditions[4]
    statement = (
        sa.select(role.role)
        .join(TABLE, TABLE.c.role_id == role.role.c.id)
        .where(*conditions)
        .order_by(role.role.c.id)
    )
    return await rows.rows(db, statement)


async def revoke(
    db: Connection,
    actor: Actor,
    target: Target,
    role_id: str,
    *,
    inherited: bool,
    now_us: int,
) -> None:
    """Take a role away and revoke the tokens that may carry it. Raises Fault 404."""
    await check(db, actor, target, role_id, inherited=inherited)
    row = _row(actor, target, role_id, inherited=inherited)
    await rows.delete(db, TABLE, *_conditions(row))
    for user_id in await users_of(db, actor):
        if inherited:
            await revocations.add(db, USER, user_id, now_us)
        else:
            await revocations.add(db, GRANT, f"{user_id}/{target[1]}", now_us)


async def users_of(db: Connection, actor: Actor) -> list[str]:
    """Ids of the users that an actor stands for: itself, or the members of the group."""
    if actor[0] == "user":
        return [actor[1]]
    statement = sa.select(MEMBERSHIP.c.user_id).where(MEMBERSHIP.c.group_id == actor[1])
    return [row["user_id"] for row in await rows.rows(db, statement)]


def is_actor(user_id: str, group_ids: Collection[str] = ()) -> sa.ColumnElement[bool]:
    """Rows of a user, of the groups they are in and of further groups."""
    own = sa.select(MEMBERSHIP.c.group_id).where(MEMBERSHIP.c.user_id == user_id)
    of_groups: sa.ColumnElement[bool] = TABLE.c.actor_id.in_(own)
    if group_ids:
        of_groups |= TABLE.c.actor_id.in_(list(group_ids))
    return ((TABLE.c.actor == "user") & (TABLE.c.actor_id == user_id)) | (
        (TABLE.c.actor == "group") & of_groups
    )


async def reaches(db: Connection, target: str, target_id: str) -> sa.ColumnElement[bool]:
    """Rows that count on a target: its own that are not inherited, and inherited ones above it."""
    direct = (
        (TABLE.c.target == target)
        & (TABLE.c.target_id == target_id)
        & TABLE.c.inherited.is_(sa.false())
    )
    if target != "project":
        return direct
    row = await rows.by_id(db, project.project, target_id)
    above = [one["id"] for one in await projects.parents(db, row)] if row else []
    if not above:
        return direct
    return direct | (
        TABLE.c.target.in_(["project", "domain"])
        & TABLE.c.target_id.in_(above)
        & TABLE.c.inherited.is_(sa.true())
    )


async def effective(
    db: Connection,
    user_id: str,
    target: str,
    target_id: str,
    *,
    group_ids: Collection[str] = (),
) -> list[Row]:
    """Roles (id, name) of a user on a target, implied ones included, by name.

    `group_ids` are groups that the user counts in for now (a federated log-in's).
    """
    statement = (
        sa.select(role.role)
        .join(TABLE, TABLE.c.role_id == role.role.c.id)
        .where(is_actor(user_id, group_ids), await reaches(db, target, target_id))
    )
    direct = {row["id"]: row for row in await rows.rows(db, statement)}
    return await with_implied(db, direct)


async def with_implied(db: Connection, found: dict[str, Row]) -> list[Row]:
    """Roles and all they imply. Domain roles count only through what they imply."""
    implied = role.implied_role
    implies: dict[str, list[Row]] = {}
    if found:  # there are few rules, so all are read at once
        statement = sa.select(implied.c.prior_role_id, role.role).join(
            role.role, implied.c.implied_role_id == role.role.c.id
        )
        for row in await rows.rows(db, statement):
            implies.setdefault(row.pop("prior_role_id"), []).append(row)
    level = list(found)
    while level:
        new = {row["id"]: row for prior in level for row in implies.get(prior, ())}
        level = [name for name in new if name not in found]
        found |= {name: new[name] for name in level}
    return sorted((row for row in found.values() if not row["domain_id"]), key=lambda r: r["name"])
