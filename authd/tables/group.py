"""Groups of users, and who is in them."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, id_column, object_column, reference, text_column

group = sa.Table(
    "identity_group",
    metadata,
    id_column(),
    text_column("domain_id", index=True),
    text_column("name", NAME_CHARS),
    sa.Column("description", sa.Text, nullable=False),
    object_column("extra"),
    sa.UniqueConstraint("domain_id", "name"),
)

membership = sa.Table(
    "identity_membership",
    metadata,
    reference("group_id", "identity_group.id", primary_key=True),
    reference("user_id", "identity_user.id", primary_key=True, index=True),
)
