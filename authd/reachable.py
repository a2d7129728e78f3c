"""What a user may log in to: the projects or domains on which some role of theirs is effective."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa

from authd import grants, projects
from authd.tables.group import membership
from core import rows
from core.database import Connection
from core.rows import Row

TABLE = grants.TABLE


async def reachable(
    db: Connection, user_id: str, target: str, groups: Iterable[str] = ()
) -> list[Row]:
    """Projects or domains (`target`), in order of their ids. `groups` are those a federation vouches for."""
    mine = sa.select(membership.c.group_id).where(membership.c.user_id == user_id)
    granted = await rows.rows(
        db,
        sa.select(TABLE.c.target, TABLE.c.target_id, TABLE.c.inherited)
        .where(
            ((TABLE.c.actor == "user") & (TABLE.c.actor_id == user_id))
            | (
                (TABLE.c.actor == "group")
                & (TABLE.c.actor_id.in_(mine) | TABLE.c.actor_id.in_(list(groups)))
            )
        )
        .distinct(),
    )
    candidates: dict[str, Row] = {}
    for grant in granted:
        for row in await _reached(db, grant, target):
            candidates[row["id"]] = row
    return [
        candidates[name]
        for name in sorted(candidates)
        if await grants.effective(db, user_id, target, name, group_ids=tuple(groups))
    ]


async def _reached(db: Connection, grant: Row, target: str) -> list[Row]:
    """Candidates of one grant: its target itself, or when it is inherited all projects below."""
    if grant["inherited"]:
        if target != "project":
            return []
        if grant["target"] == "domain":
            return await rows.matching(db, projects.TABLE, domain_id=grant["target_id"])
        row = await rows.by_id(db, projects.TABLE, grant["target_id"])
        return [] if row is None else await projects.subtree(db, row)
    if grant["target"] != target:
        return []
    row = await rows.by_id(db, projects.TABLE, grant["target_id"])
    return [] if row is None else [row]
