"""Snapshots. `engine_id` names the volume of the library that holds the position, `engine_snapshot_id` the position."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    number_column,
    object_column,
    reference,
    text_column,
    time_column,
)

snapshot = sa.Table(
    "block_snapshot",
    metadata,
    id_column(),
    reference("volume_id", "block_volume.id", index=True),
    text_column("project_id", index=True),
    text_column("user_id"),
    text_column("name", NAME_CHARS, nullable=True),
    sa.Column("description", sa.Text),
    number_column("size"),
    text_column("status", index=True),
    text_column("progress"),
    text_column("volume_type_id"),
    flag_column("consumes_quota"),
    text_column("group_snapshot_id", nullable=True, index=True),
    text_column("engine_id"),
    text_column("engine_snapshot_id"),
    object_column("metadata"),
    time_column("created_us"),
    time_column("updated_us", nullable=True),
)
