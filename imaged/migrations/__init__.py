"""Alembic migrations of the image service."""
