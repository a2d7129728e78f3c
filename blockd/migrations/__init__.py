"""Alembic migrations of block storage."""
