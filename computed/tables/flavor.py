"""Flavors, who may use private ones, and key pairs."""

from __future__ import annotations

import sqlalchemy as sa

from computed.tables.metadata import metadata
from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    number_column,
    object_column,
    text_column,
    time_column,
)

flavor = sa.Table(
    "compute_flavor",
    metadata,
    sa.Column("id", sa.String(NAME_CHARS), primary_key=True),
    text_column("name", NAME_CHARS, unique=True),
    number_column("ram_mb"),
    number_column("vcpus"),
    number_column("disk_gb"),
    number_column("ephemeral_gb"),
    number_column("swap_mb"),
    sa.Column("rxtx_factor", sa.Float, nullable=False),
    flag_column("public"),
    flag_column("disabled"),
    sa.Column("description", sa.Text),
    object_column("extra_specs"),
    time_column("created_us"),
)

flavor_access = sa.Table(
    "compute_flavor_access",
    metadata,
    sa.Column(
        "flavor_id",
        sa.String(NAME_CHARS),
        sa.ForeignKey("compute_flavor.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("project_id", sa.String(NAME_CHARS), primary_key=True),
)

keypair = sa.Table(
    "compute_keypair",
    metadata,
    id_column(),
    number_column("number", unique=True),
    text_column("user_id", NAME_CHARS),
    text_column("name", NAME_CHARS),
    text_column("type", 16),
    sa.Column("public_key", sa.Text, nullable=False),
    text_column("fingerprint", NAME_CHARS),
    time_column("created_us"),
    sa.UniqueConstraint("user_id", "name"),
)
