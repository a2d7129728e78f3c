"""Attachments: who may read or write a volume where."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import NAME_CHARS, id_column, object_column, reference, text_column, time_column

attachment = sa.Table(
    "block_attachment",
    metadata,
    id_column(),
    reference("volume_id", "block_volume.id", index=True),
    text_column("project_id", index=True),
    text_column("instance_id", nullable=True),
    text_column("host", NAME_CHARS, nullable=True),
    text_column("mountpoint", NAME_CHARS, nullable=True),
    text_column("mode"),
    text_column("status"),
    object_column("connector", nullable=True),
    object_column("connection", nullable=True),
    time_column("created_us"),
    time_column("attached_us", nullable=True),
)
