"""Groups of volumes, their types, and snapshots of a whole group."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    object_column,
    reference,
    text_column,
    time_column,
)

group_type = sa.Table(
    "block_group_type",
    metadata,
    id_column(),
    text_column("name", NAME_CHARS, unique=True),
    sa.Column("description", sa.Text),
    flag_column("is_public"),
    object_column("group_specs"),
    time_column("created_us"),
    time_column("updated_us", nullable=True),
)

group = sa.Table(
    "block_group",
    metadata,
    id_column(),
    text_column("project_id", index=True),
    text_column("user_id"),
    text_column("name", NAME_CHARS, nullable=True),
    sa.Column("description", sa.Text),
    text_column("status"),
    text_column("availability_zone", NAME_CHARS),
    text_column("group_type_id"),
    object_column("volume_types"),
    text_column("group_snapshot_id", nullable=True),
    text_column("source_group_id", nullable=True),
    time_column("created_us"),
    time_column("updated_us", nullable=True),
)

group_snapshot = sa.Table(
    "block_group_snapshot",
    metadata,
    id_column(),
    reference("group_id", "block_group.id", index=True),
    text_column("project_id", index=True),
    text_column("user_id"),
    text_column("name", NAME_CHARS, nullable=True),
    sa.Column("description", sa.Text),
    text_column("status"),
    text_column("group_type_id"),
    time_column("created_us"),
    time_column("updated_us", nullable=True),
)
