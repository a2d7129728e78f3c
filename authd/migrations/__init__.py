"""Alembic migrations of the identity service. HEAD is the newest revision; a test keeps it true."""

from __future__ import annotations

from pathlib import Path

from authd.tables import metadata
from core.database import Schema

HEAD = "0004"
SCHEMA = Schema(metadata, str(Path(__file__).parent), "identity_version", HEAD)
