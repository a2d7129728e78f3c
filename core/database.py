"""SQL for the control plane: SQLite beside the data by default, PostgreSQL when configured.

Promises the same on both: reads see one consistent snapshot, writers run one after the other (an immediate
transaction in SQLite, an advisory lock in PostgreSQL), so that a check made inside a write transaction still
holds when it commits. Statements take bound parameters only.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

log = logging.getLogger("ringstack.database")

BUSY_TIMEOUT_MS = 10_000
CLOSE_S = 5.0
POOL_SIZE = 5
WRITE = "ringstack_write"
ADVISORY_LOCK = 0x52_49_4E_47  # any number of ours

Connection = AsyncConnection


class Database:
    """One database of one process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.sqlite = url.startswith("sqlite")
        self.engine: AsyncEngine = create_async_engine(
            url, pool_size=POOL_SIZE, json_deserializer=msgspec.json.decode
        )
        self._writing = asyncio.Lock()
        # awaited after each commit, before the writer goes on
        self.committed: list[Callable[[], Awaitable[None]]] = []
        if self.sqlite:
            sa.event.listen(self.engine.sync_engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine.sync_engine, "begin", _begin_sqlite)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A snapshot to read from."""
        async with self.engine.connect() as connection:
            if not self.sqlite:
                await connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits when the block ends well, alone among writers."""
        async with self._writing, self.engine.connect() as connection:
            await connection.execution_options(**{WRITE: True})
            async with connection.begin():
                if not self.sqlite:
                    await connection.execute(
                        sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}
                    )
                yield connection
        for tell in self.committed:
            await tell()

    async def close(self) -> None:
        """Close all connections; one that does not answer is left to the system after a while."""
        try:
            async with asyncio.timeout(CLOSE_S):
                await self.engine.dispose()
        except TimeoutError:
            log.warning("a connection to the database does not close")


def _prepare_sqlite(connection: Any, record: object) -> None:
    del record
    connection.isolation_level = None  # transactions begin where we say, see `_begin_sqlite`
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"busy_timeout={BUSY_TIMEOUT_MS}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    write = connection.get_execution_options().get(WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class Schema(NamedTuple):
    """A service's tables: as they are now, and the Alembic scripts that lead to revision `head`."""

    metadata: sa.MetaData
    scripts: str
    version_table: str
    head: str


async def migrate(database: Database, schema: Schema) -> None:
    """Bring a service's tables to the newest revision, in one transaction.

    Alembic is imported only when there is something to change: it costs time and memory at each start. An
    empty database gets the newest tables at once (a test proves that both ways lead to the same).
    """
    async with database.read() as connection:
        current = await connection.run_sync(lambda c: _revision(c, schema.version_table))
    if current == schema.head:
        return
    async with database.write() as connection:
        change = _create if current is None else _upgrade
        await connection.run_sync(lambda c: change(c, schema))


def _revision(connection: sa.Connection, version_table: str) -> str | None:
    if not sa.inspect(connection).has_table(version_table):
        return None
    table = sa.table(version_table, sa.column("version_num"))
    found = connection.execute(sa.select(table.c.version_num)).scalar()
    return None if found is None else str(found)


def _create(connection: sa.Connection, schema: Schema) -> None:
    version = sa.Table(
        schema.version_table,
        sa.MetaData(),
        sa.Column("version_num", sa.String(32), primary_key=True),
    )
    schema.metadata.create_all(connection, checkfirst=False)
    version.create(connection)
    connection.execute(sa.insert(version).values(version_num=schema.head))


def _upgrade(connection: sa.Connection, schema: Schema) -> None:
    from core.migration import upgrade

    upgrade(connection, schema)
