"""Volumes of the library that were given up by `unmanage` and may be taken back by `manage`."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import flag_column, id_column, number_column, text_column, time_column

unmanaged = sa.Table(
    "block_unmanaged",
    metadata,
    id_column("engine_id"),
    number_column("size"),
    flag_column("bootable"),
    flag_column("encrypted"),
    text_column("encryption_key_id", nullable=True),
    time_column("created_us"),
)
