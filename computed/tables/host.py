"""Hosts, aggregates of hosts, groups of servers, moves between hosts, and quotas."""

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

host = sa.Table(
    "compute_host",
    metadata,
    id_column(),  # also of its resource provider and its hypervisor
    text_column("name", NAME_CHARS, unique=True),
    number_column("number", unique=True),
    text_column("service_id"),
    object_column("capacity"),
    text_column("console", NAME_CHARS),
    flag_column("disabled"),
    text_column("disabled_reason", NAME_CHARS, nullable=True),
    flag_column("forced_down"),
    time_column("created_us"),
    time_column("updated_us"),
    time_column("seen_us"),
)

aggregate = sa.Table(
    "compute_aggregate",
    metadata,
    id_column(),
    number_column("number", unique=True),
    text_column("name", NAME_CHARS, unique=True),
    object_column("metadata"),
    object_column("hosts"),
    time_column("created_us"),
    time_column("updated_us", nullable=True),
)

server_group = sa.Table(
    "compute_server_group",
    metadata,
    id_column(),
    text_column("project_id", index=True),
    text_column("user_id"),
    text_column("name", NAME_CHARS),
    text_column("policy", 32),
    object_column("rules"),
    time_column("created_us"),
)

migration = sa.Table(
    "compute_migration",
    metadata,
    id_column(),
    number_column("number", unique=True),
    text_column("server_id", index=True),
    text_column("project_id"),
    text_column("user_id"),
    text_column("kind", 16),  # resize, migration, evacuation
    text_column("status", 32),
    text_column("source", NAME_CHARS, nullable=True),
    text_column("target", NAME_CHARS, nullable=True),
    text_column("old_flavor_id", NAME_CHARS, nullable=True),
    text_column("new_flavor_id", NAME_CHARS, nullable=True),
    time_column("created_us"),
    time_column("updated_us"),
)

quota = sa.Table(
    "compute_quota",
    metadata,
    sa.Column("project_id", sa.String(NAME_CHARS), primary_key=True),
    sa.Column("user_id", sa.String(NAME_CHARS), primary_key=True),  # "": the whole project
    sa.Column("resource", sa.String(64), primary_key=True),
    number_column("hard_limit"),
)

quota_class = sa.Table(
    "compute_quota_class",
    metadata,
    sa.Column("name", sa.String(NAME_CHARS), primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    number_column("hard_limit"),
)
