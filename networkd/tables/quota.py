"""Limits of projects that differ from the defaults."""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import number_column, text_column
from networkd.tables.metadata import metadata

quota = sa.Table(
    "network_quota",
    metadata,
    text_column("project_id", primary_key=True),
    text_column("resource", primary_key=True),
    number_column("hard_limit"),
)
