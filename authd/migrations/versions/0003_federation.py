"""Identity providers, their protocols, mappings and users."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "identity_mapping",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("schema_version", sa.String(length=5), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_mapping")),
    )
    op.create_table(
        "identity_service_provider",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("auth_url", sa.String(length=256), nullable=False),
        sa.Column("sp_url", sa.String(length=256), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("relay_state_prefix", sa.String(length=256), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_service_provider")),
    )
    op.create_table(
        "identity_federated_user",
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("idp_id", sa.String(length=64), nullable=False),
        sa.Column("protocol_id", sa.String(length=64), nullable=False),
        sa.Column("unique_id", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["identity_user.id"],
            name=op.f("fk_identity_federated_user_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "idp_id", "protocol_id", "unique_id", name=op.f("pk_identity_federated_user")
        ),
    )
    with op.batch_alter_table("identity_federated_user", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_identity_federated_user_user_id"), ["user_id"], unique=False
        )

    op.create_table(
        "identity_provider",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("remote_ids", sa.JSON(), nullable=False),
        sa.Column("authorization_ttl", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["identity_project.id"],
            name=op.f("fk_identity_provider_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_provider")),
    )
    op.create_table(
        "identity_protocol",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("idp_id", sa.String(length=64), nullable=False),
        sa.Column("mapping_id", sa.String(length=64), nullable=False),
        sa.Column("remote_id_attribute", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["idp_id"],
            ["identity_provider.id"],
            name=op.f("fk_identity_protocol_idp_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", "idp_id", name=op.f("pk_identity_protocol")),
    )
