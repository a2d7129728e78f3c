"""The first tables: networks, subnets, pools, ports, routers, floating addresses, security groups, quotas, hosts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the change."""
    op.create_table(
        "network_address_group",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_address_group")),
    )
    with op.batch_alter_table("network_address_group", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_address_group_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "network_agent",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_agent")),
        sa.UniqueConstraint("host", "kind", name=op.f("uq_network_agent_host_kind")),
    )
    with op.batch_alter_table("network_agent", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_network_agent_host"), ["host"], unique=False)

    op.create_table(
        "network_host",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("tunnel_address", sa.String(length=64), nullable=False),
        sa.Column("ports", sa.JSON(), nullable=False),
        sa.Column("routers", sa.JSON(), nullable=False),
        sa.Column("physical", sa.JSON(), nullable=False),
        sa.Column("faults", sa.JSON(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("seen_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_network_host")),
    )
    op.create_table(
        "network_network",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("external", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("port_security_enabled", sa.Boolean(), nullable=False),
        sa.Column("mtu", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("physical", sa.String(length=255), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=True),
        sa.Column("dns_domain", sa.String(length=255), nullable=False),
        sa.Column("availability_zone_hints", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_network")),
        sa.UniqueConstraint("number", name=op.f("uq_network_network_number")),
    )
    with op.batch_alter_table("network_network", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_network_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "network_notice",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_notice")),
    )
    op.create_table(
        "network_quota",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("resource", sa.String(length=64), nullable=False),
        sa.Column("hard_limit", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name=op.f("pk_network_quota")),
    )
    op.create_table(
        "network_router",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("enable_snat", sa.Boolean(), nullable=False),
        sa.Column("gateway_port_id", sa.String(length=64), nullable=True),
        sa.Column("gateway_network_id", sa.String(length=64), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("up", sa.Boolean(), nullable=False),
        sa.Column("routes", sa.JSON(), nullable=False),
        sa.Column("availability_zone_hints", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_router")),
    )
    with op.batch_alter_table("network_router", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_router_gateway_network_id"), ["gateway_network_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_network_router_host"), ["host"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_network_router_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "network_security_group",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("stateful", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_security_group")),
    )
    with op.batch_alter_table("network_security_group", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_security_group_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "network_subnetpool",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("ip_version", sa.BigInteger(), nullable=False),
        sa.Column("prefixes", sa.JSON(), nullable=False),
        sa.Column("min_prefixlen", sa.BigInteger(), nullable=False),
        sa.Column("max_prefixlen", sa.BigInteger(), nullable=False),
        sa.Column("default_prefixlen", sa.BigInteger(), nullable=False),
        sa.Column("default_quota", sa.BigInteger(), nullable=True),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_subnetpool")),
    )
    with op.batch_alter_table("network_subnetpool", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_subnetpool_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "network_topology",
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.Column("router_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name=op.f("pk_network_topology")),
    )
    op.create_table(
        "network_dhcp",
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"],
            ["network_network.id"],
            name=op.f("fk_network_dhcp_network_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("network_id", "host", name=op.f("pk_network_dhcp")),
    )
    op.create_table(
        "network_floatingip",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("floating_network_id", sa.String(length=64), nullable=False),
        sa.Column("floating_ip_address", sa.String(length=64), nullable=False),
        sa.Column("floating_port_id", sa.String(length=64), nullable=False),
        sa.Column("port_id", sa.String(length=64), nullable=True),
        sa.Column("fixed_ip_address", sa.String(length=64), nullable=True),
        sa.Column("router_id", sa.String(length=64), nullable=True),
        sa.Column("dns_name", sa.String(length=255), nullable=False),
        sa.Column("dns_domain", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["floating_network_id"],
            ["network_network.id"],
            name=op.f("fk_network_floatingip_floating_network_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_floatingip")),
    )
    with op.batch_alter_table("network_floatingip", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_floatingip_floating_network_id"),
            ["floating_network_id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_network_floatingip_floating_port_id"), ["floating_port_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_network_floatingip_port_id"), ["port_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_network_floatingip_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_network_floatingip_router_id"), ["router_id"], unique=False
        )

    op.create_table(
        "network_port",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.Column("mac_address", sa.String(length=64), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("device_id", sa.String(length=255), nullable=False),
        sa.Column("device_owner", sa.String(length=255), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("vnic_type", sa.String(length=64), nullable=False),
        sa.Column("profile", sa.JSON(), nullable=False),
        sa.Column("port_security_enabled", sa.Boolean(), nullable=False),
        sa.Column("allowed_address_pairs", sa.JSON(), nullable=False),
        sa.Column("extra_dhcp_opts", sa.JSON(), nullable=False),
        sa.Column("dns_name", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"],
            ["network_network.id"],
            name=op.f("fk_network_port_network_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_port")),
        sa.UniqueConstraint(
            "network_id", "mac_address", name=op.f("uq_network_port_network_id_mac_address")
        ),
    )
    with op.batch_alter_table("network_port", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_network_port_device_id"), ["device_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_network_port_host"), ["host"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_network_port_network_id"), ["network_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_network_port_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "network_security_group_rule",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("security_group_id", sa.String(length=64), nullable=False),
        sa.Column("direction", sa.String(length=64), nullable=False),
        sa.Column("ethertype", sa.String(length=64), nullable=False),
        sa.Column("protocol", sa.String(length=64), nullable=True),
        sa.Column("port_range_min", sa.BigInteger(), nullable=True),
        sa.Column("port_range_max", sa.BigInteger(), nullable=True),
        sa.Column("remote_ip_prefix", sa.String(length=64), nullable=True),
        sa.Column("remote_group_id", sa.String(length=64), nullable=True),
        sa.Column("remote_address_group_id", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["security_group_id"],
            ["network_security_group.id"],
            name=op.f("fk_network_security_group_rule_security_group_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_security_group_rule")),
    )
    with op.batch_alter_table("network_security_group_rule", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_security_group_rule_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_network_security_group_rule_remote_address_group_id"),
            ["remote_address_group_id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_network_security_group_rule_remote_group_id"),
            ["remote_group_id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_network_security_group_rule_security_group_id"),
            ["security_group_id"],
            unique=False,
        )

    op.create_table(
        "network_subnet",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("network_id", sa.String(length=64), nullable=False),
        sa.Column("ip_version", sa.BigInteger(), nullable=False),
        sa.Column("cidr", sa.String(length=64), nullable=False),
        sa.Column("gateway_ip", sa.String(length=64), nullable=True),
        sa.Column("enable_dhcp", sa.Boolean(), nullable=False),
        sa.Column("ipv6_ra_mode", sa.String(length=64), nullable=True),
        sa.Column("ipv6_address_mode", sa.String(length=64), nullable=True),
        sa.Column("subnetpool_id", sa.String(length=64), nullable=True),
        sa.Column("allocation_pools", sa.JSON(), nullable=False),
        sa.Column("dns_nameservers", sa.JSON(), nullable=False),
        sa.Column("host_routes", sa.JSON(), nullable=False),
        sa.Column("service_types", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["network_id"],
            ["network_network.id"],
            name=op.f("fk_network_subnet_network_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_subnet")),
    )
    with op.batch_alter_table("network_subnet", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_subnet_network_id"), ["network_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_network_subnet_project_id"), ["project_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_network_subnet_subnetpool_id"), ["subnetpool_id"], unique=False
        )

    op.create_table(
        "network_address",
        sa.Column("subnet_id", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("port_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["port_id"],
            ["network_port.id"],
            name=op.f("fk_network_address_port_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["subnet_id"],
            ["network_subnet.id"],
            name=op.f("fk_network_address_subnet_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("subnet_id", "address", name=op.f("pk_network_address")),
    )
    with op.batch_alter_table("network_address", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_network_address_port_id"), ["port_id"], unique=False)

    op.create_table(
        "network_forwarding",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("updated_us", sa.BigInteger(), nullable=False),
        sa.Column("revision_number", sa.BigInteger(), nullable=False),
        sa.Column("floatingip_id", sa.String(length=64), nullable=False),
        sa.Column("protocol", sa.String(length=64), nullable=False),
        sa.Column("external_first", sa.BigInteger(), nullable=False),
        sa.Column("external_last", sa.BigInteger(), nullable=False),
        sa.Column("internal_port_id", sa.String(length=64), nullable=False),
        sa.Column("internal_ip_address", sa.String(length=64), nullable=False),
        sa.Column("internal_first", sa.BigInteger(), nullable=False),
        sa.Column("internal_last", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["floatingip_id"],
            ["network_floatingip.id"],
            name=op.f("fk_network_forwarding_floatingip_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_forwarding")),
    )
    with op.batch_alter_table("network_forwarding", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_forwarding_floatingip_id"), ["floatingip_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_network_forwarding_internal_port_id"), ["internal_port_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_network_forwarding_project_id"), ["project_id"], unique=False
        )

    op.create_table(
        "network_port_group",
        sa.Column("port_id", sa.String(length=64), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"],
            ["network_security_group.id"],
            name=op.f("fk_network_port_group_group_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["port_id"],
            ["network_port.id"],
            name=op.f("fk_network_port_group_port_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("port_id", "group_id", name=op.f("pk_network_port_group")),
    )
    with op.batch_alter_table("network_port_group", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_network_port_group_group_id"), ["group_id"], unique=False
        )
