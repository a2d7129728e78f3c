"""Application credentials: secrets for programs that may do part of what their user may, and their access rules."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, flag_column, id_column, reference, text_column, time_column

application_credential = sa.Table(
    "identity_application_credential",
    metadata,
    id_column(),
    reference("user_id", "identity_user.id"),
    reference("project_id", "identity_project.id", index=True),
    text_column("name", NAME_CHARS),
    text_column("hash", 255),
    sa.Column("description", sa.Text, nullable=True),
    flag_column("unrestricted"),
    flag_column("limited"),  # it has access rules
    time_column("created_us"),
    time_column("expires_us", nullable=True),
    sa.UniqueConstraint("user_id", "name"),
)

application_credential_role = sa.Table(
    "identity_application_credential_role",
    metadata,
    reference("credential_id", "identity_application_credential.id", primary_key=True),
    reference("role_id", "identity_role.id", primary_key=True),
)

access_rule = sa.Table(
    "identity_access_rule",
    metadata,
    id_column(),
    reference("user_id", "identity_user.id"),
    text_column("service", NAME_CHARS),
    text_column("method", 16),
    text_column("path", NAME_CHARS),
    sa.UniqueConstraint("user_id", "service", "method", "path"),
)

application_credential_rule = sa.Table(
    "identity_application_credential_rule",
    metadata,
    reference("credential_id", "identity_application_credential.id", primary_key=True),
    reference("access_rule_id", "identity_access_rule.id", primary_key=True),
)
