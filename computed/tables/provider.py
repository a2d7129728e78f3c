"""What hosts offer and who has claimed it, as the Placement API shows it.

`used` of an inventory is the sum of its allocations, kept in the transaction that changes them, so that a scheduler
reads one row for each host and class and never adds up ten thousand.
"""

from __future__ import annotations

import sqlalchemy as sa

from computed.tables.metadata import metadata
from core.columns import (
    NAME_CHARS,
    id_column,
    number_column,
    reference,
    text_column,
    time_column,
)

provider = sa.Table(
    "compute_provider",
    metadata,
    id_column(),
    text_column("name", NAME_CHARS, unique=True),
    number_column("generation"),
    text_column("parent_id", nullable=True),
    text_column("root_id", index=True),
    time_column("created_us"),
    time_column("updated_us"),
)

inventory = sa.Table(
    "compute_inventory",
    metadata,
    id_column(),
    reference("provider_id", "compute_provider.id", index=True),
    text_column("resource_class", NAME_CHARS),
    number_column("total"),
    number_column("reserved"),
    number_column("min_unit"),
    number_column("max_unit"),
    number_column("step_size"),
    sa.Column("allocation_ratio", sa.Float, nullable=False),
    number_column("used"),
    time_column("updated_us"),
    sa.UniqueConstraint("provider_id", "resource_class"),
)

consumer = sa.Table(
    "compute_consumer",
    metadata,
    id_column(),
    text_column("project_id", NAME_CHARS, index=True),
    text_column("user_id", NAME_CHARS),
    text_column("kind", NAME_CHARS, nullable=True),
    number_column("generation"),
    time_column("updated_us"),
)

allocation = sa.Table(
    "compute_allocation",
    metadata,
    id_column(),
    text_column("consumer_id", index=True),
    reference("provider_id", "compute_provider.id", index=True),
    text_column("resource_class", NAME_CHARS),
    number_column("used"),
    time_column("updated_us"),
)

trait = sa.Table(
    "compute_trait",
    metadata,
    sa.Column("name", sa.String(NAME_CHARS), primary_key=True),
    time_column("updated_us"),
)

provider_trait = sa.Table(
    "compute_provider_trait",
    metadata,
    sa.Column(
        "provider_id",
        sa.String(64),
        sa.ForeignKey("compute_provider.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("trait", sa.String(NAME_CHARS), primary_key=True),
)

provider_aggregate = sa.Table(
    "compute_provider_aggregate",
    metadata,
    sa.Column(
        "provider_id",
        sa.String(64),
        sa.ForeignKey("compute_provider.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    sa.Column("aggregate_id", sa.String(64), primary_key=True),
)

resource_class = sa.Table(
    "compute_resource_class",
    metadata,
    sa.Column("name", sa.String(NAME_CHARS), primary_key=True),
    time_column("updated_us"),
)
