"""Images: what clients see of them, and what the service is doing with them.

A row whose `busy_kind` is set belongs to the process `busy_owner` until `busy_until_us`; whoever finds it later than
that undoes what was begun. A deleted image keeps its row until its volumes are gone.
"""

from __future__ import annotations

import sqlalchemy as sa

from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    number_column,
    object_column,
    text_column,
    time_column,
)
from imaged.tables.metadata import metadata

image = sa.Table(
    "image_image",
    metadata,
    id_column(),
    text_column("name", NAME_CHARS, nullable=True),
    text_column("status", 32),
    text_column("visibility", 32),
    text_column("owner", NAME_CHARS, nullable=True),
    flag_column("protected"),
    flag_column("os_hidden"),
    number_column("min_disk"),
    number_column("min_ram"),
    text_column("disk_format", 32, nullable=True),
    text_column("container_format", 32, nullable=True),
    number_column("size", nullable=True),
    number_column("virtual_size", nullable=True),
    text_column("checksum", 32, nullable=True),
    text_column("os_hash_algo", nullable=True),
    text_column("os_hash_value", 128, nullable=True),
    object_column("properties"),
    object_column("tags"),
    time_column("created_us"),
    time_column("updated_us"),
    text_column("task_id", nullable=True),
    text_column("failed_import", NAME_CHARS, nullable=True),
    flag_column("hash_due"),
    text_column("boot_form", 32),
    text_column("busy_kind", 32),
    text_column("busy_owner", NAME_CHARS),
    time_column("busy_until_us"),
    sa.Index(None, "owner"),
    sa.Index(None, "visibility"),
    sa.Index(None, "busy_kind"),
)
