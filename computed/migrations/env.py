"""What Alembic runs."""

from __future__ import annotations

from computed.tables import metadata
from core.migration import run_revisions

run_revisions(metadata)
