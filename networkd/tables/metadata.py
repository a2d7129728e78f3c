"""The collection of Networking's tables, and the columns that most of them begin with."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from core.columns import (
    NAME_CHARS,
    id_column,
    new_metadata,
    number_column,
    object_column,
    text_column,
    time_column,
)

metadata = new_metadata()


def standard() -> list[sa.Column[Any]]:
    """Id, owner, name, description, tags, times and revision."""
    return [
        id_column(),
        text_column("project_id", index=True),
        text_column("name", NAME_CHARS),
        text_column("description", NAME_CHARS),
        object_column("tags"),
        time_column("created_us"),
        time_column("updated_us"),
        number_column("revision_number"),
    ]
