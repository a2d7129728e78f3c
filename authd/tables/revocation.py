"""Revocations in the order in which they were made, kept for as long as a token can live."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import text_column, time_column

revocation = sa.Table(
    "identity_revocation",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    text_column("kind", 32),
    text_column("key", 255),
    time_column("until_us"),
    sqlite_autoincrement=True,
)
