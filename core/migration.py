"""Alembic for every service: brings old tables up to date, and drafts the next revision.

`python -m core.migration SERVICE "what is new"` writes the migration of a service (`authd`, say) from its newest revision to
its tables. Review what it writes: it sees columns and constraints, not what should happen to the rows. Then set
the service's HEAD. Importing this costs time and memory, so `core.database` does it only when there is something to change.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import tempfile

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config

from core.database import Database, Schema


def config_of(connection: sa.Connection, schema: Schema) -> Config:
    """What Alembic needs to know of a service, and the connection to work on."""
    config = Config()
    config.set_main_option("script_location", schema.scripts)
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = schema.version_table
    return config


def upgrade(connection: sa.Connection, schema: Schema) -> None:
    """Run what is missing, one revision after the other."""
    command.upgrade(config_of(connection, schema), "head")


def run_revisions(metadata: sa.MetaData) -> None:
    """What a service's `env.py` does: migrate inside the caller's connection and transaction.

    Other services' tables, which begin with other words, are left alone.
    """
    attributes = context.config.attributes
    own = str(attributes["version_table"]).removesuffix("version")
    context.configure(
        connection=attributes["connection"],
        target_metadata=metadata,
        version_table=attributes["version_table"],
        include_name=lambda name, kind, _parents: kind != "table" or (name or "").startswith(own),
        render_as_batch=True,
        transactional_ddl=True,
    )
    context.run_migrations()


async def migrate_fully(database: Database, schema: Schema) -> None:
    """Every migration one after the other, as an old database would meet them."""
    async with database.write() as connection:
        await connection.run_sync(lambda c: upgrade(c, schema))


async def draft(schema: Schema, message: str) -> None:
    """Write the next revision, against a fresh SQLite database."""
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite+aiosqlite:///{directory}/draft.db")
        if schema.head:
            await migrate_fully(database, schema)
        number = f"{int(schema.head or 0) + 1:04}"

        def write(connection: sa.Connection) -> None:
            config = config_of(connection, schema)
            command.revision(config, message, autogenerate=True, rev_id=number)

        async with database.write() as connection:
            await connection.run_sync(write)
        await database.close()


if __name__ == "__main__":
    service, message = sys.argv[1:]
    asyncio.run(draft(importlib.import_module(f"{service}.migrations").SCHEMA, message))
