"""The catalogue of metadata definitions: namespaces, what is defined in them, and what they apply to.

Objects, properties and tags are one table, because they differ only in their bodies.
"""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    object_column,
    reference,
    text_column,
    time_column,
)
from imaged.tables.metadata import metadata

namespace = sa.Table(
    "image_metadef_namespace",
    metadata,
    id_column(),
    text_column("namespace", 80),
    text_column("display_name", 80, nullable=True),
    text_column("description", 500, nullable=True),
    text_column("visibility", 32),
    flag_column("protected"),
    text_column("owner", NAME_CHARS),
    time_column("created_us"),
    time_column("updated_us"),
    sa.UniqueConstraint("namespace"),
)

definition = sa.Table(
    "image_metadef_definition",
    metadata,
    id_column(),
    reference("namespace_id", "image_metadef_namespace.id"),
    text_column("kind", 32),
    text_column("name", NAME_CHARS),
    object_column("body"),
    time_column("created_us"),
    time_column("updated_us"),
    sa.UniqueConstraint("namespace_id", "kind", "name"),
)

association = sa.Table(
    "image_metadef_association",
    metadata,
    id_column(),
    reference("namespace_id", "image_metadef_namespace.id"),
    text_column("name", 80),
    text_column("prefix", 80, nullable=True),
    text_column("properties_target", 80, nullable=True),
    time_column("created_us"),
    time_column("updated_us"),
    sa.UniqueConstraint("namespace_id", "name"),
)
