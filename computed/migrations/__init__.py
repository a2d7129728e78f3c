"""Alembic migrations of servers. HEAD is the newest revision; a test keeps it true."""

from __future__ import annotations

from pathlib import Path

from computed.tables import metadata
from core.database import Schema

HEAD = "0001"
SCHEMA = Schema(metadata, str(Path(__file__).parent), "compute_version", HEAD)
