"""Projects that an image is shared with, and what they say to it."""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import NAME_CHARS, id_column, reference, text_column, time_column
from imaged.tables.metadata import metadata

member = sa.Table(
    "image_member",
    metadata,
    id_column(),
    reference("image_id", "image_image.id"),
    text_column("member_id", NAME_CHARS),
    text_column("status", 32),
    time_column("created_us"),
    time_column("updated_us"),
    sa.UniqueConstraint("image_id", "member_id"),
    sa.Index(None, "member_id"),
)
