"""Users and their passwords, the newest of which logs in; older ones are kept for the password rules."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    object_column,
    reference,
    text_column,
    time_column,
)

user = sa.Table(
    "identity_user",
    metadata,
    id_column(),
    text_column("domain_id", index=True),
    text_column("name", NAME_CHARS),
    flag_column("enabled"),
    text_column("default_project_id", nullable=True),
    object_column("options"),
    object_column("extra"),
    time_column("created_us"),
    time_column("active_us"),
    sa.Column("failed_count", sa.Integer, nullable=False),
    time_column("failed_us"),
    sa.UniqueConstraint("domain_id", "name"),
)

password = sa.Table(
    "identity_password",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    reference("user_id", "identity_user.id", index=True),
    text_column("hash", 255),
    time_column("created_us"),
    time_column("expires_us", nullable=True),
    flag_column("self_service"),
)
