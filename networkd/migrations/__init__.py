"""Alembic migrations of Networking. HEAD is the newest revision; a test keeps it true."""

from __future__ import annotations

from pathlib import Path

from core.database import Schema
from networkd.tables import metadata

HEAD = "0001"
SCHEMA = Schema(metadata, str(Path(__file__).parent), "network_version", HEAD)
