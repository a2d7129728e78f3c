"""Quotas of projects and of quota classes. Usage is counted from the rows themselves, never kept."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import NAME_CHARS, id_column, number_column, text_column

quota = sa.Table(
    "block_quota",
    metadata,
    id_column("project_id"),
    text_column("resource", NAME_CHARS + 20, primary_key=True),
    number_column("hard_limit"),
)

quota_class = sa.Table(
    "block_quota_class",
    metadata,
    text_column("class_name", NAME_CHARS, primary_key=True),
    text_column("resource", NAME_CHARS + 20, primary_key=True),
    number_column("hard_limit"),
)
