"""`python -m imaged.migrations.draft "what is new"`: write the migration from the newest revision to the tables.

Review what it writes: it sees columns and constraints, not what should happen to the rows. Then set HEAD.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile

import sqlalchemy as sa

from core.database import Database
from imaged.migrations import HEAD, SCRIPTS, VERSION_TABLE


def _draft(connection: sa.Connection, message: str, number: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.set_main_option("file_template", "%%(rev)s_%%(slug)s")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = VERSION_TABLE
    command.revision(config, message, autogenerate=True, rev_id=number)


async def migrate_fully(database: Database) -> None:
    """Every migration one after the other, as an old database would meet them."""
    from alembic import command
    from alembic.config import Config

    def upgrade(connection: sa.Connection) -> None:
        config = Config()
        config.set_main_option("script_location", SCRIPTS)
        config.attributes["connection"] = connection
        config.attributes["version_table"] = VERSION_TABLE
        command.upgrade(config, "head")

    async with database.write() as connection:
        await connection.run_sync(upgrade)


async def main(message: str) -> None:
    """Draft the next revision against a fresh SQLite database."""
    with tempfile.TemporaryDirectory() as directory:
        database = Database(f"sqlite+aiosqlite:///{directory}/draft.db")
        number = "0001"
        if HEAD:
            await migrate_fully(database)
            number = f"{int(HEAD) + 1:04}"
        async with database.write() as connection:
            await connection.run_sync(lambda c: _draft(c, message, number))
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
