"""Which endpoints a project's catalog shows: endpoints named one by one, and groups of them by attributes."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, id_column, object_column, reference, text_column

project_endpoint = sa.Table(
    "identity_project_endpoint",
    metadata,
    reference("project_id", "identity_project.id", primary_key=True),
    reference("endpoint_id", "identity_endpoint.id", primary_key=True),
)

endpoint_group = sa.Table(
    "identity_endpoint_group",
    metadata,
    id_column(),
    text_column("name", NAME_CHARS),
    sa.Column("description", sa.Text, nullable=True),
    object_column("filters"),
)

project_endpoint_group = sa.Table(
    "identity_project_endpoint_group",
    metadata,
    reference("project_id", "identity_project.id", primary_key=True),
    reference("endpoint_group_id", "identity_endpoint_group.id", primary_key=True),
)
