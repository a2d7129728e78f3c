"""Alembic migrations of the identity service. HEAD is the newest revision; a test keeps it true."""

from __future__ import annotations

from pathlib import Path

HEAD = "0004"
SCRIPTS = str(Path(__file__).parent)
VERSION_TABLE = "identity_version"
