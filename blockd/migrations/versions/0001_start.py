"""The first tables: volumes, types, snapshots, attachments, transfers, backups, groups, quotas, messages, work."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "block_backup",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("volume_id", sa.String(length=64), nullable=False),
        sa.Column("snapshot_id", sa.String(length=64), nullable=True),
        sa.Column("parent_id", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("fail_reason", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("object_count", sa.BigInteger(), nullable=False),
        sa.Column("container", sa.String(length=255), nullable=True),
        sa.Column("prefix", sa.String(length=255), nullable=False),
        sa.Column("manifest_digest", sa.String(length=128), nullable=True),
        sa.Column("availability_zone", sa.String(length=255), nullable=False),
        sa.Column("engine_id", sa.String(length=64), nullable=True),
        sa.Column("engine_snapshot_id", sa.String(length=64), nullable=True),
        sa.Column("restore_volume_id", sa.String(length=64), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.Column("data_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_backup")),
    )
    with op.batch_alter_table("block_backup", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_block_backup_parent_id"), ["parent_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_block_backup_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_block_backup_status"), ["status"], unique=False)
        batch_op.create_index(batch_op.f("ix_block_backup_volume_id"), ["volume_id"], unique=False)

    op.create_table(
        "block_group",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("availability_zone", sa.String(length=255), nullable=False),
        sa.Column("group_type_id", sa.String(length=64), nullable=False),
        sa.Column("volume_types", sa.JSON(), nullable=False),
        sa.Column("group_snapshot_id", sa.String(length=64), nullable=True),
        sa.Column("source_group_id", sa.String(length=64), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_group")),
    )
    with op.batch_alter_table("block_group", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_block_group_project_id"), ["project_id"], unique=False)

    op.create_table(
        "block_group_type",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("group_specs", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_group_type")),
        sa.UniqueConstraint("name", name=op.f("uq_block_group_type_name")),
    )
    op.create_table(
        "block_message",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("resource_type", sa.String(length=64), nullable=True),
        sa.Column("resource_id", sa.String(length=64), nullable=True),
        sa.Column("event_id", sa.String(length=64), nullable=False),
        sa.Column("level", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_message")),
    )
    with op.batch_alter_table("block_message", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_block_message_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "block_qos",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("consumer", sa.String(length=64), nullable=False),
        sa.Column("specs", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_qos")),
        sa.UniqueConstraint("name", name=op.f("uq_block_qos_name")),
    )
    op.create_table(
        "block_quota",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.String(length=275), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name=op.f("pk_block_quota")),
    )
    op.create_table(
        "block_quota_class",
        sa.Column("class_name", sa.String(length=255), nullable=False),
        sa.Column("resource", sa.String(length=275), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("class_name", "resource", name=op.f("pk_block_quota_class")),
    )
    op.create_table(
        "block_service",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("binary", sa.String(length=64), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("frozen", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(length=255), nullable=True),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host", "binary", name=op.f("pk_block_service")),
    )
    op.create_table(
        "block_type",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("qos_id", sa.String(length=64), nullable=True),
        sa.Column("extra_specs", sa.JSON(), nullable=False),
        sa.Column("encryption", sa.JSON(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_type")),
        sa.UniqueConstraint("name", name=op.f("uq_block_type_name")),
    )
    op.create_table(
        "block_unmanaged",
        sa.Column("engine_id", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("bootable", sa.Boolean(), nullable=False),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("encryption_key_id", sa.String(length=64), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("engine_id", name=op.f("pk_block_unmanaged")),
    )
    op.create_table(
        "block_volume",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("previous_status", sa.String(length=64), nullable=True),
        sa.Column("migration_status", sa.String(length=64), nullable=True),
        sa.Column("volume_type_id", sa.String(length=64), nullable=False),
        sa.Column("availability_zone", sa.String(length=255), nullable=False),
        sa.Column("bootable", sa.Boolean(), nullable=False),
        sa.Column("multiattach", sa.Boolean(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=True),
        sa.Column("encrypted", sa.Boolean(), nullable=False),
        sa.Column("consumes_quota", sa.Boolean(), nullable=False),
        sa.Column("snapshot_id", sa.String(length=64), nullable=True),
        sa.Column("source_volid", sa.String(length=64), nullable=True),
        sa.Column("group_id", sa.String(length=64), nullable=True),
        sa.Column("engine_id", sa.String(length=64), nullable=False),
        sa.Column("encryption_key_id", sa.String(length=64), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("image_metadata", sa.JSON(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_volume")),
    )
    with op.batch_alter_table("block_volume", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_block_volume_group_id"), ["group_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_block_volume_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_block_volume_status"), ["status"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_block_volume_volume_type_id"), ["volume_type_id"], unique=False
        )

    op.create_table(
        "block_work",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("parameters", sa.JSON(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("lease_us", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("deadline_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_work")),
    )
    with op.batch_alter_table("block_work", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_block_work_subject_id"), ["subject_id"], unique=False)

    op.create_table(
        "block_attachment",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("volume_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("instance_id", sa.String(length=64), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("mountpoint", sa.String(length=255), nullable=True),
        sa.Column("mode", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("connector", sa.JSON(), nullable=True),
        sa.Column("connection", sa.JSON(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("attached_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["volume_id"],
            ["block_volume.id"],
            name=op.f("fk_block_attachment_volume_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_attachment")),
    )
    with op.batch_alter_table("block_attachment", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_block_attachment_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_block_attachment_volume_id"), ["volume_id"], unique=False
        )

    op.create_table(
        "block_default_type",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("type_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["type_id"],
            ["block_type.id"],
            name=op.f("fk_block_default_type_type_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_block_default_type")),
    )
    op.create_table(
        "block_group_snapshot",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("group_type_id", sa.String(length=64), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["block_group.id"],
            name=op.f("fk_block_group_snapshot_group_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_group_snapshot")),
    )
    with op.batch_alter_table("block_group_snapshot", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_block_group_snapshot_group_id"), ["group_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_block_group_snapshot_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "block_snapshot",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("volume_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("progress", sa.String(length=64), nullable=False),
        sa.Column("volume_type_id", sa.String(length=64), nullable=False),
        sa.Column("consumes_quota", sa.Boolean(), nullable=False),
        sa.Column("group_snapshot_id", sa.String(length=64), nullable=True),
        sa.Column("engine_id", sa.String(length=64), nullable=False),
        sa.Column("engine_snapshot_id", sa.String(length=64), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["volume_id"],
            ["block_volume.id"],
            name=op.f("fk_block_snapshot_volume_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_snapshot")),
    )
    with op.batch_alter_table("block_snapshot", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_block_snapshot_group_snapshot_id"), ["group_snapshot_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_block_snapshot_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_block_snapshot_status"), ["status"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_block_snapshot_volume_id"), ["volume_id"], unique=False
        )

    op.create_table(
        "block_transfer",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("volume_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=True),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("key_digest", sa.String(length=128), nullable=False),
        sa.Column("no_snapshots", sa.Boolean(), nullable=False),
        sa.Column("destination_project_id", sa.String(length=64), nullable=True),
        sa.Column("accepted", sa.Boolean(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["volume_id"],
            ["block_volume.id"],
            name=op.f("fk_block_transfer_volume_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_block_transfer")),
    )
    with op.batch_alter_table("block_transfer", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_block_transfer_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_block_transfer_volume_id"), ["volume_id"], unique=False
        )

    op.create_table(
        "block_type_access",
        sa.Column("type_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["type_id"],
            ["block_type.id"],
            name=op.f("fk_block_type_access_type_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("type_id", "project_id", name=op.f("pk_block_type_access")),
    )
