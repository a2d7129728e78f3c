"""Settings of single domains, one row for each option of a section (a group, as the API calls it)."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, reference, text_column

domain_option = sa.Table(
    "identity_domain_option",
    metadata,
    reference("domain_id", "identity_project.id", primary_key=True),
    text_column("section", NAME_CHARS, primary_key=True),
    text_column("option", NAME_CHARS, primary_key=True),
    sa.Column("value", sa.JSON, nullable=False),
)
