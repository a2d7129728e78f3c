"""Alembic migrations of the image service. HEAD is the newest revision; a test keeps it true."""

from __future__ import annotations

from pathlib import Path

HEAD = "0001"
SCRIPTS = str(Path(__file__).parent)
VERSION_TABLE = "image_version"
