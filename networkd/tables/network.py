"""Networks, their subnets, and pools that subnets are cut from."""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import (
    NAME_CHARS,
    flag_column,
    number_column,
    object_column,
    reference,
    text_column,
)
from networkd.tables.metadata import metadata, standard

network = sa.Table(
    "network_network",
    metadata,
    *standard(),
    flag_column("admin_state_up"),
    flag_column("shared"),
    flag_column("external"),
    flag_column("is_default"),
    flag_column("port_security_enabled"),
    number_column("mtu"),
    text_column("kind"),
    text_column("physical", NAME_CHARS),
    number_column("number", nullable=True, unique=True),
    text_column("dns_domain", NAME_CHARS),
    object_column("availability_zone_hints"),
)

subnet = sa.Table(
    "network_subnet",
    metadata,
    *standard(),
    reference("network_id", "network_network.id", index=True),
    number_column("ip_version"),
    text_column("cidr"),
    text_column("gateway_ip", nullable=True),
    flag_column("enable_dhcp"),
    text_column("ipv6_ra_mode", nullable=True),
    text_column("ipv6_address_mode", nullable=True),
    text_column("subnetpool_id", nullable=True, index=True),
    object_column("allocation_pools"),
    object_column("dns_nameservers"),
    object_column("host_routes"),
    object_column("service_types"),
)

subnetpool = sa.Table(
    "network_subnetpool",
    metadata,
    *standard(),
    number_column("ip_version"),
    object_column("prefixes"),
    number_column("min_prefixlen"),
    number_column("max_prefixlen"),
    number_column("default_prefixlen"),
    number_column("default_quota", nullable=True),
    flag_column("shared"),
    flag_column("is_default"),
)
