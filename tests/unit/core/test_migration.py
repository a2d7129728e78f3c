"""The tables a new cloud gets are those that the migrations lead to, for every service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from authd.migrations import SCHEMA as IDENTITY
from blockd.migrations import SCHEMA as BLOCK
from computed.migrations import SCHEMA as COMPUTE
from core.database import Database, Schema
from core.migration import draft, migrate_fully
from imaged.migrations import SCHEMA as IMAGE
from networkd.migrations import SCHEMA as NETWORK

SCHEMAS = pytest.mark.parametrize(
    "schema",
    [IDENTITY, BLOCK, IMAGE, NETWORK, COMPUTE],
    ids=["identity", "block", "image", "network", "compute"],
)


@SCHEMAS
def test_the_newest_revision_is_the_head(schema: Schema) -> None:
    """One line of revisions, which ends where the code says."""
    assert ScriptDirectory(schema.scripts).get_heads() == [schema.head]


@SCHEMAS
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_migrations_lead_to_the_tables_of_the_code(
    schema: Schema, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """No column, index or constraint is in one and not in the other."""
    url = f"sqlite+aiosqlite:///{tmp_path}/cloud.db"
    if kind == "postgresql":
        url = request.getfixturevalue("postgres").new_database()

    def differences(connection: sa.Connection) -> list[Any]:
        options = {
            "include_name": lambda name, kind, _: kind != "table" or name != schema.version_table
        }
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, schema.metadata))

    async def look() -> list[Any]:
        database = Database(url)
        await migrate_fully(database, schema)
        async with database.read() as connection:
            found: list[Any] = await connection.run_sync(differences)
        await database.close()
        return found

    assert asyncio.run(look()) == []


def test_a_draft_of_the_first_revision_has_the_service_s_own_tables(tmp_path: Path) -> None:
    """Alembic's own files are all that a new service needs."""
    scripts = Path(BLOCK.scripts)
    for name in ("env.py", "script.py.mako"):
        (tmp_path / name).write_bytes((scripts / name).read_bytes())
    (tmp_path / "versions").mkdir()
    asyncio.run(draft(BLOCK._replace(scripts=str(tmp_path), head=""), "start"))
    (written,) = (tmp_path / "versions").glob("*.py")
    assert written.name == "0001_start.py"
    assert "block_volume" in written.read_text()
