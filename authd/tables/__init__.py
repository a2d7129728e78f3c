"""SQL tables of the identity service. A table is declared where its noun is; importing this package knows all."""

from __future__ import annotations

from authd.tables import assignment, catalog, project, revocation, role, user
from authd.tables.metadata import metadata

__all__ = ["assignment", "catalog", "metadata", "project", "revocation", "role", "user"]
