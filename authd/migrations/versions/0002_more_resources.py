"""Credentials, groups, application credentials, trusts, endpoint filters, policies, limits, tags, domain options."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "identity_endpoint_group",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("filters", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_endpoint_group")),
    )
    op.create_table(
        "identity_group",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_group")),
        sa.UniqueConstraint("domain_id", "name", name=op.f("uq_identity_group_domain_id_name")),
    )
    with op.batch_alter_table("identity_group", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_identity_group_domain_id"), ["domain_id"], unique=False
        )

    op.create_table(
        "identity_policy",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("blob", sa.Text(), nullable=False),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_policy")),
    )
    op.create_table(
        "identity_registered_limit",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("service_id", sa.String(length=64), nullable=False),
        sa.Column("region_id", sa.String(length=255), nullable=False),
        sa.Column("resource_name", sa.String(length=255), nullable=False),
        sa.Column("default_limit", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_registered_limit")),
        sa.UniqueConstraint(
            "service_id",
            "region_id",
            "resource_name",
            name=op.f("uq_identity_registered_limit_service_id_region_id_resource_name"),
        ),
    )
    with op.batch_alter_table("identity_registered_limit", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_identity_registered_limit_service_id"), ["service_id"], unique=False
        )

    op.create_table(
        "identity_access_rule",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("service", sa.String(length=255), nullable=False),
        sa.Column("method", sa.String(length=16), nullable=False),
        sa.Column("path", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["identity_user.id"],
            name=op.f("fk_identity_access_rule_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_access_rule")),
        sa.UniqueConstraint(
            "user_id",
            "service",
            "method",
            "path",
            name=op.f("uq_identity_access_rule_user_id_service_method_path"),
        ),
    )
    op.create_table(
        "identity_application_credential",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("hash", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("unrestricted", sa.Boolean(), nullable=False),
        sa.Column("limited", sa.Boolean(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["identity_project.id"],
            name=op.f("fk_identity_application_credential_project_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["identity_user.id"],
            name=op.f("fk_identity_application_credential_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_application_credential")),
        sa.UniqueConstraint(
            "user_id", "name", name=op.f("uq_identity_application_credential_user_id_name")
        ),
    )
    with op.batch_alter_table("identity_application_credential", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_identity_application_credential_project_id"),
            ["project_id"],
            unique=False,
        )

    op.create_table(
        "identity_credential",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("type", sa.String(length=255), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["identity_user.id"],
            name=op.f("fk_identity_credential_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_credential")),
    )
    with op.batch_alter_table("identity_credential", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_identity_credential_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_identity_credential_user_id"), ["user_id"], unique=False
        )

    op.create_table(
        "identity_domain_option",
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("section", sa.String(length=255), nullable=False),
        sa.Column("option", sa.String(length=255), nullable=False),
        sa.Column("value", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["identity_project.id"],
            name=op.f("fk_identity_domain_option_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "domain_id", "section", "option", name=op.f("pk_identity_domain_option")
        ),
    )
    op.create_table(
        "identity_limit",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("registered_limit_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("domain_id", sa.String(length=64), nullable=False),
        sa.Column("resource_limit", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["registered_limit_id"],
            ["identity_registered_limit.id"],
            name=op.f("fk_identity_limit_registered_limit_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_limit")),
        sa.UniqueConstraint(
            "registered_limit_id",
            "project_id",
            "domain_id",
            name=op.f("uq_identity_limit_registered_limit_id_project_id_domain_id"),
        ),
    )
    with op.batch_alter_table("identity_limit", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_identity_limit_domain_id"), ["domain_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_identity_limit_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "identity_membership",
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["identity_group.id"],
            name=op.f("fk_identity_membership_group_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["identity_user.id"],
            name=op.f("fk_identity_membership_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_identity_membership")),
    )
    with op.batch_alter_table("identity_membership", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_identity_membership_user_id"), ["user_id"], unique=False
        )

    op.create_table(
        "identity_policy_association",
        sa.Column("endpoint_id", sa.String(length=64), nullable=False),
        sa.Column("service_id", sa.String(length=64), nullable=False),
        sa.Column("region_id", sa.String(length=255), nullable=False),
        sa.Column("policy_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_id"],
            ["identity_policy.id"],
            name=op.f("fk_identity_policy_association_policy_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "endpoint_id", "service_id", "region_id", name=op.f("pk_identity_policy_association")
        ),
    )
    with op.batch_alter_table("identity_policy_association", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_identity_policy_association_policy_id"), ["policy_id"], unique=False
        )

    op.create_table(
        "identity_project_endpoint_group",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("endpoint_group_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_group_id"],
            ["identity_endpoint_group.id"],
            name=op.f("fk_identity_project_endpoint_group_endpoint_group_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["identity_project.id"],
            name=op.f("fk_identity_project_endpoint_group_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "endpoint_group_id", name=op.f("pk_identity_project_endpoint_group")
        ),
    )
    op.create_table(
        "identity_project_tag",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["identity_project.id"],
            name=op.f("fk_identity_project_tag_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_identity_project_tag")),
    )
    op.create_table(
        "identity_trust",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("trustor_user_id", sa.String(length=64), nullable=False),
        sa.Column("trustee_user_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("impersonation", sa.Boolean(), nullable=False),
        sa.Column("remaining_uses", sa.Integer(), nullable=True),
        sa.Column("redelegation_count", sa.Integer(), nullable=False),
        sa.Column("redelegated_trust_id", sa.String(length=64), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["redelegated_trust_id"],
            ["identity_trust.id"],
            name=op.f("fk_identity_trust_redelegated_trust_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["trustee_user_id"],
            ["identity_user.id"],
            name=op.f("fk_identity_trust_trustee_user_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["trustor_user_id"],
            ["identity_user.id"],
            name=op.f("fk_identity_trust_trustor_user_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity_trust")),
    )
    with op.batch_alter_table("identity_trust", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_identity_trust_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_identity_trust_redelegated_trust_id"),
            ["redelegated_trust_id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_identity_trust_trustee_user_id"), ["trustee_user_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_identity_trust_trustor_user_id"), ["trustor_user_id"], unique=False
        )

    op.create_table(
        "identity_application_credential_role",
        sa.Column("credential_id", sa.String(length=64), nullable=False),
        sa.Column("role_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["identity_application_credential.id"],
            name=op.f("fk_identity_application_credential_role_credential_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["role_id"],
            ["identity_role.id"],
            name=op.f("fk_identity_application_credential_role_role_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "credential_id", "role_id", name=op.f("pk_identity_application_credential_role")
        ),
    )
    op.create_table(
        "identity_application_credential_rule",
        sa.Column("credential_id", sa.String(length=64), nullable=False),
        sa.Column("access_rule_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["access_rule_id"],
            ["identity_access_rule.id"],
            name=op.f("fk_identity_application_credential_rule_access_rule_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["credential_id"],
            ["identity_application_credential.id"],
            name=op.f("fk_identity_application_credential_rule_credential_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "credential_id", "access_rule_id", name=op.f("pk_identity_application_credential_rule")
        ),
    )
    op.create_table(
        "identity_project_endpoint",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("endpoint_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"],
            ["identity_endpoint.id"],
            name=op.f("fk_identity_project_endpoint_endpoint_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["project_id"],
            ["identity_project.id"],
            name=op.f("fk_identity_project_endpoint_project_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "project_id", "endpoint_id", name=op.f("pk_identity_project_endpoint")
        ),
    )
    op.create_table(
        "identity_trust_role",
        sa.Column("trust_id", sa.String(length=64), nullable=False),
        sa.Column("role_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"],
            ["identity_role.id"],
            name=op.f("fk_identity_trust_role_role_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["trust_id"],
            ["identity_trust.id"],
            name=op.f("fk_identity_trust_role_trust_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("trust_id", "role_id", name=op.f("pk_identity_trust_role")),
    )
