"""The network that a project was given automatically."""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import id_column, text_column
from networkd.tables.metadata import metadata

topology = sa.Table(
    "network_topology",
    metadata,
    id_column("project_id"),
    text_column("network_id"),
    text_column("router_id"),
)
