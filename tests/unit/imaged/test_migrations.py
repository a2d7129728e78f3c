"""The tables a new cloud gets are those that the migrations lead to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from core.database import Database
from imaged.migrations import HEAD, SCRIPTS
from imaged.migrations.draft import migrate_fully
from imaged.tables import metadata


def test_the_newest_revision_is_the_head() -> None:
    """One line of revisions, which ends where the code says."""
    assert ScriptDirectory(SCRIPTS).get_heads() == [HEAD]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_migrations_lead_to_the_tables_of_the_code(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """No column, index or constraint is in one and not in the other."""
    url = f"sqlite+aiosqlite:///{tmp_path}/cloud.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").new_database()

    def differences(connection: sa.Connection) -> list[Any]:
        options = {"include_name": lambda name, kind, _: kind != "table" or name != "image_version"}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, metadata))

    async def look() -> list[Any]:
        database = Database(url)
        await migrate_fully(database)
        async with database.read() as connection:
            found: list[Any] = await connection.run_sync(differences)
        await database.close()
        return found

    assert asyncio.run(look()) == []
