"""Which services an administrator has disabled, and why. One that is not listed is enabled."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import NAME_CHARS, flag_column, text_column, time_column

service = sa.Table(
    "block_service",
    metadata,
    text_column("host", NAME_CHARS, primary_key=True),
    text_column("binary", primary_key=True),
    flag_column("disabled"),
    flag_column("frozen"),
    text_column("reason", NAME_CHARS, nullable=True),
    time_column("updated_us"),
)
