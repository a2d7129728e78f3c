"""What the tables of every service share: the naming of constraints and the types of columns.

Several services share one database, so the names of a service's tables begin with its own word. Times are
microseconds since 1970 UTC. Ids are text.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

ID_CHARS = 64
NAME_CHARS = 255


def new_metadata() -> sa.MetaData:
    """An empty collection of tables whose constraints are named by rule."""
    return sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def id_column(name: str = "id", **options: Any) -> sa.Column[str]:
    """A primary key of text."""
    return sa.Column(name, sa.String(ID_CHARS), primary_key=True, **options)


def reference(name: str, target: str, **options: Any) -> sa.Column[str]:
    """A foreign key that goes when what it points at goes; NOT NULL unless told otherwise."""
    options.setdefault("nullable", False)
    return sa.Column(
        name, sa.String(ID_CHARS), sa.ForeignKey(target, ondelete="CASCADE"), **options
    )


def text_column(name: str, chars: int = ID_CHARS, **options: Any) -> sa.Column[str]:
    """Text of at most so many characters; NOT NULL unless told otherwise."""
    options.setdefault("nullable", False)
    return sa.Column(name, sa.String(chars), **options)


def number_column(name: str, **options: Any) -> sa.Column[int]:
    """A whole number; NOT NULL unless told otherwise."""
    options.setdefault("nullable", False)
    return sa.Column(name, sa.BigInteger, **options)


def time_column(name: str, **options: Any) -> sa.Column[int]:
    """Microseconds since 1970 UTC."""
    return number_column(name, **options)


def flag_column(name: str) -> sa.Column[bool]:
    """True or false."""
    return sa.Column(name, sa.Boolean, nullable=False)


def object_column(name: str = "extra", **options: Any) -> sa.Column[Any]:
    """A JSON object; NOT NULL unless told otherwise."""
    options.setdefault("nullable", False)
    return sa.Column(name, sa.JSON, **options)
