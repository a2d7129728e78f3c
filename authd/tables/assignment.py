"""Who has which role on what. One row is one grant; inherited ones count below their target only."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import ID_CHARS, reference

# actor: "user" or "group"; target: "project", "domain" or "system" (target_id "system").
assignment = sa.Table(
    "identity_assignment",
    metadata,
    sa.Column("actor", sa.String(8), primary_key=True),
    sa.Column("actor_id", sa.String(ID_CHARS), primary_key=True),
    sa.Column("target", sa.String(8), primary_key=True),
    sa.Column("target_id", sa.String(ID_CHARS), primary_key=True),
    reference("role_id", "identity_role.id", primary_key=True),
    sa.Column("inherited", sa.Boolean, primary_key=True),
    sa.Index("ix_identity_assignment_target", "target", "target_id"),
)
