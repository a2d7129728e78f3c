"""Tasks: imports and what became of them. They outlive their image, and go when they expire."""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import NAME_CHARS, id_column, object_column, text_column, time_column
from imaged.tables.metadata import metadata

task = sa.Table(
    "image_task",
    metadata,
    id_column(),
    text_column("type", 32),
    text_column("status", 32),
    text_column("owner", NAME_CHARS),
    text_column("user_id", NAME_CHARS),
    text_column("request_id"),
    text_column("image_id", nullable=True),
    object_column("input", nullable=True),
    object_column("result", nullable=True),
    sa.Column("message", sa.Text, nullable=False),
    time_column("created_us"),
    time_column("updated_us"),
    time_column("expires_us", nullable=True),
    text_column("busy_owner", NAME_CHARS),
    time_column("busy_until_us"),
    sa.Index(None, "image_id"),
    sa.Index(None, "status"),
)
