"""Limits: the default of a resource for everybody (registered), and what one project or domain has instead."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, id_column, reference, text_column

# Without a region `region_id` is "", without a project or domain theirs are "", so that uniqueness holds.
registered_limit = sa.Table(
    "identity_registered_limit",
    metadata,
    id_column(),
    text_column("service_id", index=True),
    text_column("region_id", NAME_CHARS),
    text_column("resource_name", NAME_CHARS),
    sa.Column("default_limit", sa.BigInteger, nullable=False),
    sa.Column("description", sa.Text, nullable=True),
    sa.UniqueConstraint("service_id", "region_id", "resource_name"),
)

limit = sa.Table(
    "identity_limit",
    metadata,
    id_column(),
    reference("registered_limit_id", "identity_registered_limit.id"),
    text_column("project_id", index=True),
    text_column("domain_id", index=True),
    sa.Column("resource_limit", sa.BigInteger, nullable=False),
    sa.Column("description", sa.Text, nullable=True),
    sa.UniqueConstraint("registered_limit_id", "project_id", "domain_id"),
)
