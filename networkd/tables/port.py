"""Ports, and the addresses and security groups that they have."""

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

port = sa.Table(
    "network_port",
    metadata,
    *standard(),
    reference("network_id", "network_network.id", index=True),
    text_column("mac_address"),
    flag_column("admin_state_up"),
    text_column("status"),
    text_column("device_id", NAME_CHARS, index=True),
    text_column("device_owner", NAME_CHARS),
    text_column("host", NAME_CHARS, index=True),
    text_column("vnic_type"),
    object_column("profile"),
    flag_column("port_security_enabled"),
    object_column("allowed_address_pairs"),
    object_column("extra_dhcp_opts"),
    text_column("dns_name", NAME_CHARS),
    sa.UniqueConstraint("network_id", "mac_address"),
)

address = sa.Table(
    "network_address",
    metadata,
    reference("subnet_id", "network_subnet.id", primary_key=True),
    text_column("address", primary_key=True),
    reference("port_id", "network_port.id", index=True),
    number_column("position"),
)

port_group = sa.Table(
    "network_port_group",
    metadata,
    reference("port_id", "network_port.id", primary_key=True),
    reference("group_id", "network_security_group.id", primary_key=True, index=True),
)
