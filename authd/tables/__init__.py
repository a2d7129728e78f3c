"""SQL tables of the identity service. A table is declared where its noun is; importing this package knows all."""

from __future__ import annotations

from authd.tables import (
    application_credential,
    assignment,
    catalog,
    credential,
    domain_option,
    endpoint_filter,
    federation,
    group,
    limit,
    policy,
    project,
    revocation,
    role,
    trust,
    user,
)
from authd.tables.metadata import metadata

__all__ = [
    "application_credential",
    "assignment",
    "catalog",
    "credential",
    "domain_option",
    "endpoint_filter",
    "federation",
    "group",
    "limit",
    "metadata",
    "policy",
    "project",
    "revocation",
    "role",
    "trust",
    "user",
]
