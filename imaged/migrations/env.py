"""What Alembic runs: migrate inside the caller's connection and transaction."""

from __future__ import annotations

from alembic import context

from imaged.tables import metadata

config = context.config

context.configure(
    connection=config.attributes["connection"],
    target_metadata=metadata,
    version_table=config.attributes["version_table"],
    include_name=lambda name, kind, _parents: kind != "table" or (name or "").startswith("image_"),
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
