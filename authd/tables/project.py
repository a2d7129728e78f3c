"""Projects, and domains, which are projects that act as one: the roots of the trees."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, flag_column, id_column, object_column, reference, text_column

# A domain has no domain and no parent (both ""): so its name is unique among domains.
project = sa.Table(
    "identity_project",
    metadata,
    id_column(),
    text_column("domain_id", index=True),
    text_column("parent_id", index=True),
    text_column("name", NAME_CHARS),
    sa.Column("description", sa.Text, nullable=False),
    flag_column("enabled"),
    flag_column("is_domain"),
    object_column("options"),
    object_column("extra"),
    sa.UniqueConstraint("domain_id", "name"),
)

project_tag = sa.Table(
    "identity_project_tag",
    metadata,
    reference("project_id", "identity_project.id", primary_key=True),
    text_column("name", NAME_CHARS, primary_key=True),
)
