"""SQL tables of block storage. A table is declared where its noun is; importing this package knows all."""

from __future__ import annotations

from blockd.tables import (
    attachment,
    backup,
    group,
    message,
    quota,
    service,
    snapshot,
    transfer,
    unmanaged,
    volume,
    volume_type,
    work,
)
from blockd.tables.metadata import metadata

__all__ = [
    "attachment",
    "backup",
    "group",
    "message",
    "metadata",
    "quota",
    "service",
    "snapshot",
    "transfer",
    "unmanaged",
    "volume",
    "volume_type",
    "work",
]
