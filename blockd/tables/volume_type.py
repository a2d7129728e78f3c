"""Types of volumes, the projects that may use private ones, the default type of a project, and QoS specs."""

from __future__ import annotations

import sqlalchemy as sa

from blockd.tables.metadata import metadata
from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    object_column,
    reference,
    text_column,
    time_column,
)

qos = sa.Table(
    "block_qos",
    metadata,
    id_column(),
    text_column("name", NAME_CHARS, unique=True),
    text_column("consumer"),
    object_column("specs"),
    time_column("created_us"),
)

volume_type = sa.Table(
    "block_type",
    metadata,
    id_column(),
    text_column("name", NAME_CHARS, unique=True),
    sa.Column("description", sa.Text),
    flag_column("is_public"),
    text_column("qos_id", nullable=True),
    object_column("extra_specs"),
    object_column("encryption", nullable=True),
    time_column("created_us"),
    time_column("updated_us", nullable=True),
)

access = sa.Table(
    "block_type_access",
    metadata,
    reference("type_id", "block_type.id", primary_key=True),
    text_column("project_id", primary_key=True),
)

default = sa.Table(
    "block_default_type",
    metadata,
    id_column("project_id"),
    reference("type_id", "block_type.id"),
)
