"""Secrets that users keep here for other services: EC2 keys, TOTP seeds, certificates. Blobs are encrypted."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, id_column, object_column, reference, text_column

# An EC2 credential's id is the SHA-256 of its first access key; `lookup` is that of the one it has now.
credential = sa.Table(
    "identity_credential",
    metadata,
    id_column(),
    reference("user_id", "identity_user.id", index=True),
    text_column("project_id", nullable=True, index=True),
    text_column("type", NAME_CHARS),
    text_column("lookup", nullable=True, unique=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    object_column("extra"),
)
