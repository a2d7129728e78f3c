"""Regions, services and endpoints: what the catalog is made of."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, flag_column, id_column, object_column, reference, text_column

region = sa.Table(
    "identity_region",
    metadata,
    sa.Column("id", sa.String(NAME_CHARS), primary_key=True),
    sa.Column(
        "parent_region_id",
        sa.String(NAME_CHARS),
        sa.ForeignKey("identity_region.id"),
        nullable=True,
    ),
    sa.Column("description", sa.Text, nullable=False),
    object_column("extra"),
)

service = sa.Table(
    "identity_service",
    metadata,
    id_column(),
    text_column("type", NAME_CHARS),
    flag_column("enabled"),
    object_column("extra"),  # name and description among them
)

endpoint = sa.Table(
    "identity_endpoint",
    metadata,
    id_column(),
    reference("service_id", "identity_service.id"),
    sa.Column(
        "region_id", sa.String(NAME_CHARS), sa.ForeignKey("identity_region.id"), nullable=True
    ),
    text_column("interface", 8),
    sa.Column("url", sa.Text, nullable=False),
    flag_column("enabled"),
    object_column("extra"),
)
