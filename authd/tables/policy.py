"""Policy documents kept for other services, and the endpoints, services or regions they are meant for."""

from __future__ import annotations

import sqlalchemy as sa

from authd.tables.metadata import metadata
from core.columns import NAME_CHARS, id_column, object_column, reference, text_column

policy = sa.Table(
    "identity_policy",
    metadata,
    id_column(),
    text_column("type", NAME_CHARS),
    sa.Column("blob", sa.Text, nullable=False),
    object_column("extra"),
)

# What is not part of an association is "": an endpoint alone, a service alone, or a service in a region.
policy_association = sa.Table(
    "identity_policy_association",
    metadata,
    text_column("endpoint_id", primary_key=True),
    text_column("service_id", primary_key=True),
    text_column("region_id", NAME_CHARS, primary_key=True),
    reference("policy_id", "identity_policy.id", index=True),
)
