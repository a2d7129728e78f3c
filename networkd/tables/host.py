"""Hosts whose agent has reported, the agents that they are shown as, and networks that an operator gave a host."""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    object_column,
    reference,
    text_column,
    time_column,
)
from networkd.tables.metadata import metadata

host = sa.Table(
    "network_host",
    metadata,
    text_column("host", NAME_CHARS, primary_key=True),
    text_column("version"),
    text_column("tunnel_address"),
    object_column("ports"),
    object_column("routers"),
    object_column("physical"),
    object_column("faults"),
    time_column("started_us"),
    time_column("seen_us"),
)

agent = sa.Table(
    "network_agent",
    metadata,
    id_column(),
    text_column("host", NAME_CHARS, index=True),
    text_column("kind"),
    text_column("description", NAME_CHARS),
    flag_column("admin_state_up"),
    time_column("created_us"),
    sa.UniqueConstraint("host", "kind"),
)

dhcp = sa.Table(
    "network_dhcp",
    metadata,
    reference("network_id", "network_network.id", primary_key=True),
    text_column("host", NAME_CHARS, primary_key=True),
)
