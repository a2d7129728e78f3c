"""Trusts: a user (trustor) lets another (trustee) act in a project with some of their roles."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import flag_column, id_column, object_column, reference, text_column, time_column

trust = sa.Table(
    "identity_trust",
    metadata,
    id_column(),
    reference("trustor_user_id", "identity_user.id", index=True),
    reference("trustee_user_id", "identity_user.id", index=True),
    text_column("project_id", nullable=True, index=True),
    flag_column("impersonation"),
    sa.Column("remaining_uses", sa.Integer, nullable=True),
    sa.Column("redelegation_count", sa.Integer, nullable=False),
    sa.Column(
        "redelegated_trust_id",
        sa.String(64),
        sa.ForeignKey("identity_trust.id", ondelete="CASCADE"),
        nullable=True,
        index=True,
    ),
    time_column("created_us"),
    time_column("expires_us", nullable=True),
    object_column("extra"),
)

trust_role = sa.Table(
    "identity_trust_role",
    metadata,
    reference("trust_id", "identity_trust.id", primary_key=True),
    reference("role_id", "identity_role.id", primary_key=True),
)
