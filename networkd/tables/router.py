"""Routers, floating addresses and forwarded ports."""

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

router = sa.Table(
    "network_router",
    metadata,
    *standard(),
    flag_column("admin_state_up"),
    flag_column("enable_snat"),
    text_column("gateway_port_id", nullable=True),
    text_column("gateway_network_id", nullable=True, index=True),
    text_column("host", NAME_CHARS, index=True),
    flag_column("up"),
    object_column("routes"),
    object_column("availability_zone_hints"),
)

floatingip = sa.Table(
    "network_floatingip",
    metadata,
    *standard(),
    reference("floating_network_id", "network_network.id", index=True),
    text_column("floating_ip_address"),
    text_column("floating_port_id", index=True),
    text_column("port_id", nullable=True, index=True),
    text_column("fixed_ip_address", nullable=True),
    text_column("router_id", nullable=True, index=True),
    text_column("dns_name", NAME_CHARS),
    text_column("dns_domain", NAME_CHARS),
)

forwarding = sa.Table(
    "network_forwarding",
    metadata,
    *standard(),
    reference("floatingip_id", "network_floatingip.id", index=True),
    text_column("protocol"),
    number_column("external_first"),
    number_column("external_last"),
    text_column("internal_port_id", index=True),
    text_column("internal_ip_address"),
    number_column("internal_first"),
    number_column("internal_last"),
)
