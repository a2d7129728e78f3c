"""The first tables: servers, flavors, hosts, providers, work."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "compute_action",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("server_id", sa.String(length=64), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("message", sa.String(length=255), nullable=True),
        sa.Column("events", sa.JSON(), nullable=False),
        sa.Column("start_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_action")),
    )
    with op.batch_alter_table("compute_action", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_compute_action_server_id"), ["server_id"], unique=False
        )

    op.create_table(
        "compute_aggregate",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("hosts", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_aggregate")),
        sa.UniqueConstraint("name", name=op.f("uq_compute_aggregate_name")),
        sa.UniqueConstraint("number", name=op.f("uq_compute_aggregate_number")),
    )
    op.create_table(
        "compute_console",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("server_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("port", sa.BigInteger(), nullable=False),
        sa.Column("expires_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_console")),
    )
    with op.batch_alter_table("compute_console", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_compute_console_server_id"), ["server_id"], unique=False
        )

    op.create_table(
        "compute_consumer",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=255), nullable=True),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_consumer")),
    )
    with op.batch_alter_table("compute_consumer", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_compute_consumer_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "compute_flavor",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("ram_mb", sa.BigInteger(), nullable=False),
        sa.Column("vcpus", sa.BigInteger(), nullable=False),
        sa.Column("disk_gb", sa.BigInteger(), nullable=False),
        sa.Column("ephemeral_gb", sa.BigInteger(), nullable=False),
        sa.Column("swap_mb", sa.BigInteger(), nullable=False),
        sa.Column("rxtx_factor", sa.Float(), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("extra_specs", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_flavor")),
        sa.UniqueConstraint("name", name=op.f("uq_compute_flavor_name")),
    )
    op.create_table(
        "compute_host",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("service_id", sa.String(length=64), nullable=False),
        sa.Column("capacity", sa.JSON(), nullable=False),
        sa.Column("console", sa.String(length=255), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("disabled_reason", sa.String(length=255), nullable=True),
        sa.Column("forced_down", sa.Boolean(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_host")),
        sa.UniqueConstraint("name", name=op.f("uq_compute_host_name")),
        sa.UniqueConstraint("number", name=op.f("uq_compute_host_number")),
    )
    op.create_table(
        "compute_keypair",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("public_key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=255), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_keypair")),
        sa.UniqueConstraint("number", name=op.f("uq_compute_keypair_number")),
        sa.UniqueConstraint("user_id", "name", name=op.f("uq_compute_keypair_user_id_name")),
    )
    op.create_table(
        "compute_migration",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("server_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=255), nullable=True),
        sa.Column("target", sa.String(length=255), nullable=True),
        sa.Column("old_flavor_id", sa.String(length=255), nullable=True),
        sa.Column("new_flavor_id", sa.String(length=255), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_migration")),
        sa.UniqueConstraint("number", name=op.f("uq_compute_migration_number")),
    )
    with op.batch_alter_table("compute_migration", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_compute_migration_server_id"), ["server_id"], unique=False
        )

    op.create_table(
        "compute_provider",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.String(length=64), nullable=True),
        sa.Column("root_id", sa.String(length=64), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_provider")),
        sa.UniqueConstraint("name", name=op.f("uq_compute_provider_name")),
    )
    with op.batch_alter_table("compute_provider", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_compute_provider_root_id"), ["root_id"], unique=False)

    op.create_table(
        "compute_quota",
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "user_id", "resource", name=op.f("pk_compute_quota")),
    )
    op.create_table(
        "compute_quota_class",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "resource", name=op.f("pk_compute_quota_class")),
    )
    op.create_table(
        "compute_resource_class",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_compute_resource_class")),
    )
    op.create_table(
        "compute_server",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("hostname", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=True),
        sa.Column("vm_state", sa.String(length=64), nullable=False),
        sa.Column("task_state", sa.String(length=64), nullable=True),
        sa.Column("power", sa.String(length=16), nullable=False),
        sa.Column("orders", sa.JSON(), nullable=False),
        sa.Column("order_number", sa.BigInteger(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("seen_power", sa.String(length=16), nullable=False),
        sa.Column("seen_order", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("seen_fault", sa.String(length=1000), nullable=False),
        sa.Column("seen_vnc", sa.BigInteger(), nullable=False),
        sa.Column("image_id", sa.String(length=64), nullable=False),
        sa.Column("image", sa.JSON(), nullable=False),
        sa.Column("flavor", sa.JSON(), nullable=False),
        sa.Column("flavor_id", sa.String(length=255), nullable=False),
        sa.Column("old_flavor", sa.JSON(), nullable=True),
        sa.Column("old_host", sa.String(length=255), nullable=True),
        sa.Column("key_name", sa.String(length=255), nullable=True),
        sa.Column("key_data", sa.Text(), nullable=True),
        sa.Column("user_data", sa.Text(), nullable=True),
        sa.Column("config_drive", sa.Boolean(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("availability_zone", sa.String(length=255), nullable=False),
        sa.Column("pinned_zone", sa.String(length=255), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("security_groups", sa.JSON(), nullable=False),
        sa.Column("hints", sa.JSON(), nullable=False),
        sa.Column("rescue", sa.JSON(), nullable=True),
        sa.Column("locked", sa.Boolean(), nullable=False),
        sa.Column("locked_reason", sa.String(length=255), nullable=True),
        sa.Column("locked_by", sa.String(length=16), nullable=True),
        sa.Column("access_ipv4", sa.String(length=64), nullable=True),
        sa.Column("access_ipv6", sa.String(length=64), nullable=True),
        sa.Column("disk_config", sa.String(length=16), nullable=False),
        sa.Column("reservation_id", sa.String(length=64), nullable=False),
        sa.Column("launch_index", sa.BigInteger(), nullable=False),
        sa.Column("root_device", sa.String(length=32), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=True),
        sa.Column("fault", sa.JSON(), nullable=True),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("progress", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("launched_us", sa.BigInteger(), nullable=True),
        sa.Column("terminated_us", sa.BigInteger(), nullable=True),
        sa.Column("deleted_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_server")),
        sa.UniqueConstraint("number", name=op.f("uq_compute_server_number")),
    )
    with op.batch_alter_table("compute_server", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_compute_server_flavor_id"), ["flavor_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_compute_server_group_id"), ["group_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_compute_server_host"), ["host"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_compute_server_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_compute_server_updated_us"), ["updated_us"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_compute_server_vm_state"), ["vm_state"], unique=False)

    op.create_table(
        "compute_server_group",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("policy", sa.String(length=32), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_server_group")),
    )
    with op.batch_alter_table("compute_server_group", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_compute_server_group_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "compute_trait",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_compute_trait")),
    )
    op.create_table(
        "compute_verdict",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_verdict")),
    )
    op.create_table(
        "compute_work",
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
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_work")),
    )
    with op.batch_alter_table("compute_work", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_compute_work_subject_id"), ["subject_id"], unique=False
        )

    op.create_table(
        "compute_allocation",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("consumer_id", sa.String(length=64), nullable=False),
        sa.Column("provider_id", sa.String(length=64), nullable=False),
        sa.Column("resource_class", sa.String(length=255), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["compute_provider.id"],
            name=op.f("fk_compute_allocation_provider_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_allocation")),
    )
    with op.batch_alter_table("compute_allocation", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_compute_allocation_consumer_id"), ["consumer_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_compute_allocation_provider_id"), ["provider_id"], unique=False
        )

    op.create_table(
        "compute_disk",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("server_id", sa.String(length=64), nullable=False),
        sa.Column("volume_id", sa.String(length=64), nullable=True),
        sa.Column("attachment_id", sa.String(length=64), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("source_id", sa.String(length=64), nullable=False),
        sa.Column("size_gb", sa.BigInteger(), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("boot_index", sa.BigInteger(), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=True),
        sa.Column("bus", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("volume_type", sa.String(length=255), nullable=True),
        sa.Column("delete_with_server", sa.Boolean(), nullable=False),
        sa.Column("hidden", sa.Boolean(), nullable=False),
        sa.Column("plugged", sa.Boolean(), nullable=False),
        sa.Column("connection", sa.JSON(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["compute_server.id"],
            name=op.f("fk_compute_disk_server_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_disk")),
    )
    with op.batch_alter_table("compute_disk", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_compute_disk_server_id"), ["server_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_compute_disk_volume_id"), ["volume_id"], unique=False)

    op.create_table(
        "compute_flavor_access",
        sa.Column("flavor_id", sa.String(length=255), nullable=False),
        sa.Column("project_id", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["flavor_id"],
            ["compute_flavor.id"],
            name=op.f("fk_compute_flavor_access_flavor_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("flavor_id", "project_id", name=op.f("pk_compute_flavor_access")),
    )
    op.create_table(
        "compute_inventory",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("provider_id", sa.String(length=64), nullable=False),
        sa.Column("resource_class", sa.String(length=255), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("reserved", sa.BigInteger(), nullable=False),
        sa.Column("min_unit", sa.BigInteger(), nullable=False),
        sa.Column("max_unit", sa.BigInteger(), nullable=False),
        sa.Column("step_size", sa.BigInteger(), nullable=False),
        sa.Column("allocation_ratio", sa.Float(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["compute_provider.id"],
            name=op.f("fk_compute_inventory_provider_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_inventory")),
        sa.UniqueConstraint(
            "provider_id",
            "resource_class",
            name=op.f("uq_compute_inventory_provider_id_resource_class"),
        ),
    )
    with op.batch_alter_table("compute_inventory", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_compute_inventory_provider_id"), ["provider_id"], unique=False
        )

    op.create_table(
        "compute_nic",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("server_id", sa.String(length=64), nullable=False),
        sa.Column("port_id", sa.String(length=64), nullable=True),
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.Column("network_name", sa.String(length=255), nullable=False),
        sa.Column("mac", sa.String(length=32), nullable=False),
        sa.Column("mtu", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.JSON(), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("tag", sa.String(length=255), nullable=True),
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.Column("plugged", sa.Boolean(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["server_id"],
            ["compute_server.id"],
            name=op.f("fk_compute_nic_server_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_compute_nic")),
    )
    with op.batch_alter_table("compute_nic", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_compute_nic_port_id"), ["port_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_compute_nic_server_id"), ["server_id"], unique=False)

    op.create_table(
        "compute_provider_aggregate",
        sa.Column("provider_id", sa.String(length=64), nullable=False),
        sa.Column("aggregate_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["compute_provider.id"],
            name=op.f("fk_compute_provider_aggregate_provider_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "provider_id", "aggregate_id", name=op.f("pk_compute_provider_aggregate")
        ),
    )
    op.create_table(
        "compute_provider_trait",
        sa.Column("provider_id", sa.String(length=64), nullable=False),
        sa.Column("trait", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["provider_id"],
            ["compute_provider.id"],
            name=op.f("fk_compute_provider_trait_provider_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("provider_id", "trait", name=op.f("pk_compute_provider_trait")),
    )
