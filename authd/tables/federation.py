"""Identity providers whose users may log in here, how their claims are mapped, and who has come so."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import flag_column, reference, text_column

identity_provider = sa.Table(
    "identity_provider",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    reference("domain_id", "identity_project.id"),
    flag_column("enabled"),
    sa.Column("description", sa.Text, nullable=True),
    sa.Column("remote_ids", sa.JSON, nullable=False),
    sa.Column("authorization_ttl", sa.Integer, nullable=True),  # minutes
)

mapping = sa.Table(
    "identity_mapping",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("rules", sa.JSON, nullable=False),
    text_column("schema_version", 5),
)

protocol = sa.Table(
    "identity_protocol",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    reference("idp_id", "identity_provider.id", primary_key=True),
    text_column("mapping_id"),
    text_column("remote_id_attribute", nullable=True),
)

service_provider = sa.Table(
    "identity_service_provider",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    text_column("auth_url", 256),
    text_column("sp_url", 256),
    flag_column("enabled"),
    sa.Column("description", sa.Text, nullable=True),
    text_column("relay_state_prefix", 256),
)

federated_user = sa.Table(
    "identity_federated_user",
    metadata,
    reference("user_id", "identity_user.id", index=True),
    text_column("idp_id", primary_key=True),
    text_column("protocol_id", primary_key=True),
    text_column("unique_id", 255, primary_key=True),
)
