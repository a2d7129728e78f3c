"""What Alembic runs."""

from __future__ import annotations

from core.migration import run_revisions
from networkd.tables import metadata

run_revisions(metadata)
