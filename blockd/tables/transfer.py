"""Offers of volumes to other projects. Only a digest of the key is kept."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import NAME_CHARS, flag_column, id_column, reference, text_column, time_column

transfer = sa.Table(
    "block_transfer",
    metadata,
    id_column(),
    reference("volume_id", "block_volume.id", index=True),
    text_column("project_id", index=True),
    text_column("name", NAME_CHARS, nullable=True),
    text_column("salt"),
    text_column("key_digest", 128),
    flag_column("no_snapshots"),
    text_column("destination_project_id", nullable=True),
    flag_column("accepted"),
    time_column("created_us"),
)
