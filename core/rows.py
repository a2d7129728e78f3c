"""Rows as dictionaries: the one way in which services read and change their tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core.database import Connection

Row = dict[str, Any]


async def first(db: Connection, statement: sa.Select[Any]) -> Row | None:
    """First row, or None."""
    found = (await db.execute(statement)).mappings().first()
    return None if found is None else dict(found)


async def rows(db: Connection, statement: sa.Select[Any]) -> list[Row]:
    """All rows."""
    return [dict(row) for row in (await db.execute(statement)).mappings()]


async def by_id(db: Connection, table: sa.Table, name: str) -> Row | None:
    """Row of a primary key, or None."""
    return await first(db, sa.select(table).where(table.c.id == name))


async def matching(db: Connection, table: sa.Table, **wanted: Any) -> list[Row]:
    """Rows whose columns have these values, in order of their ids."""
    conditions = [table.c[name] == value for name, value in wanted.items()]
    return await rows(db, sa.select(table).where(*conditions).order_by(table.c.id))


async def count(db: Connection, table: sa.FromClause, *conditions: sa.ColumnElement[bool]) -> int:
    """How many rows there are."""
    statement = sa.select(sa.func.count()).select_from(table).where(*conditions)
    return int((await db.execute(statement)).scalar_one())


async def insert(db: Connection, table: sa.Table, row: Row) -> None:
    """Add a row."""
    await db.execute(sa.insert(table).values(row))


async def update(db: Connection, table: sa.Table, name: str, changes: Row) -> None:
    """Change columns of the row with this id."""
    if changes:
        await db.execute(sa.update(table).where(table.c.id == name).values(changes))


async def update_where(
    db: Connection, table: sa.Table, changes: Row, *conditions: sa.ColumnElement[bool]
) -> int:
    """Change columns of the rows that fit; returns how many."""
    return int((await db.execute(sa.update(table).where(*conditions).values(changes))).rowcount)


async def delete(db: Connection, table: sa.Table, *conditions: sa.ColumnElement[bool]) -> int:
    """Remove rows; returns how many."""
    assert conditions, "nothing deletes a whole table"
    return int((await db.execute(sa.delete(table).where(*conditions))).rowcount)


def split_extra(given: Row, columns: frozenset[str]) -> tuple[Row, Row]:
    """A body's attributes that have columns of their own, and the others."""
    known = {name: value for name, value in given.items() if name in columns}
    return known, {name: value for name, value in given.items() if name not in columns}
