"""Roles of the whole cloud (domain "") or of one domain, and which imply which."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, id_column, object_column, reference, text_column

role = sa.Table(
    "identity_role",
    metadata,
    id_column(),
    text_column("domain_id"),
    text_column("name", NAME_CHARS),
    sa.Column("description", sa.Text, nullable=True),
    object_column("options"),
    object_column("extra"),
    sa.UniqueConstraint("domain_id", "name"),
)

implied_role = sa.Table(
    "identity_implied_role",
    metadata,
    reference("prior_role_id", "identity_role.id", primary_key=True),
    reference("implied_role_id", "identity_role.id", primary_key=True),
)
