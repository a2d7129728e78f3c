"""What tenants are told about operations that failed after they were accepted."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import id_column, text_column, time_column

message = sa.Table(
    "block_message",
    metadata,
    id_column(),
    text_column("project_id", index=True),
    text_column("request_id"),
    text_column("resource_type", nullable=True),
    text_column("resource_id", nullable=True),
    text_column("event_id"),
    text_column("level"),
    sa.Column("text", sa.Text, nullable=False),
    time_column("created_us"),
    time_column("expires_us"),
)
