"""Volumes as tenants see them.

`engine_id` is the volume's name in the volume library; it is the volume's own id until its contents are replaced by an
image. A volume whose `consumes_quota` is false belongs to the service (a temporary copy).
"""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    number_column,
    object_column,
    text_column,
    time_column,
)

volume = sa.Table(
    "block_volume",
    metadata,
    id_column(),
    text_column("project_id", index=True),
    text_column("user_id"),
    text_column("name", NAME_CHARS, nullable=True),
    sa.Column("description", sa.Text),
    number_column("size"),
    text_column("status", index=True),
    text_column("previous_status", nullable=True),
    text_column("migration_status", nullable=True),
    text_column("volume_type_id", index=True),
    text_column("availability_zone", NAME_CHARS),
    flag_column("bootable"),
    flag_column("multiattach"),
    sa.Column("read_only", sa.Boolean),
    flag_column("encrypted"),
    flag_column("consumes_quota"),
    text_column("snapshot_id", nullable=True),
    text_column("source_volid", nullable=True),
    text_column("group_id", nullable=True, index=True),
    text_column("engine_id"),
    text_column("encryption_key_id", nullable=True),
    object_column("metadata"),
    object_column("image_metadata", nullable=True),
    time_column("created_us"),
    time_column("updated_us", nullable=True),
)
