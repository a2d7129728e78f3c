"""Servers whose addresses have changed and who are to be told so; see `networkd/notices.py`."""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import text_column, time_column
from networkd.tables.metadata import metadata

notice = sa.Table(
    "network_notice",
    metadata,
    text_column("id", primary_key=True),  # of the server
    time_column("created_us"),
)
