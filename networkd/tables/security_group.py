"""Security groups, their rules, and groups of addresses that rules may name."""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import flag_column, number_column, object_column, reference, text_column
from networkd.tables.metadata import metadata, standard

security_group = sa.Table(
    "network_security_group",
    metadata,
    *standard(),
    flag_column("stateful"),
    flag_column("is_default"),
)

security_group_rule = sa.Table(
    "network_security_group_rule",
    metadata,
    *standard(),
    reference("security_group_id", "network_security_group.id", index=True),
    text_column("direction"),
    text_column("ethertype"),
    text_column("protocol", nullable=True),
    number_column("port_range_min", nullable=True),
    number_column("port_range_max", nullable=True),
    text_column("remote_ip_prefix", nullable=True),
    text_column("remote_group_id", nullable=True, index=True),
    text_column("remote_address_group_id", nullable=True, index=True),
)

address_group = sa.Table(
    "network_address_group",
    metadata,
    *standard(),
    object_column("addresses"),
)
