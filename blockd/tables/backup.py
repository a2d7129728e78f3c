"""Backups. The chunks themselves are objects; the list of them is an object too (`PREFIX/manifest`)."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import (
    NAME_CHARS,
    id_column,
    number_column,
    object_column,
    text_column,
    time_column,
)

backup = sa.Table(
    "block_backup",
    metadata,
    id_column(),
    text_column("project_id", index=True),
    text_column("user_id"),
    text_column("volume_id", index=True),
    text_column("snapshot_id", nullable=True),
    text_column("parent_id", nullable=True, index=True),
    text_column("name", NAME_CHARS, nullable=True),
    sa.Column("description", sa.Text),
    text_column("status", index=True),
    sa.Column("fail_reason", sa.Text),
    number_column("size"),
    number_column("object_count"),
    text_column("container", NAME_CHARS, nullable=True),
    text_column("prefix", NAME_CHARS),
    text_column("manifest_digest", 128, nullable=True),
    text_column("availability_zone", NAME_CHARS),
    # the volume and its position in the library that a later incremental backup is compared with
    text_column("engine_id", nullable=True),
    text_column("engine_snapshot_id", nullable=True),
    text_column("restore_volume_id", nullable=True),
    object_column("metadata"),
    time_column("created_us"),
    time_column("updated_us", nullable=True),
    time_column("data_us", nullable=True),
)
