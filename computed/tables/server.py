"""Servers, their disks, their interfaces, and what they were told to do.

A row stays after its server is gone (`deleted_us`), so that a client that asks for changes hears of it. `power` and
`orders` are what the host is to make of it; `seen_*` is what the host last reported.
"""

from __future__ import annotations

import sqlalchemy as sa

from computed.tables.metadata import metadata
from core.columns import (
    NAME_CHARS,
    flag_column,
    id_column,
    number_column,
    object_column,
    reference,
    text_column,
    time_column,
)

server = sa.Table(
    "compute_server",
    metadata,
    id_column(),
    number_column("number", unique=True),  # makes its name on a host
    text_column("project_id", index=True),
    text_column("user_id"),
    text_column("name", NAME_CHARS),
    text_column("hostname", NAME_CHARS),
    text_column("description", NAME_CHARS, nullable=True),
    text_column("vm_state", index=True),
    text_column("task_state", nullable=True),
    text_column("power", 16),
    object_column("orders"),
    number_column("order_number"),
    flag_column("present"),  # its machine is to exist on its host
    text_column("seen_power", 16),
    number_column("seen_order"),
    object_column("seen"),  # attachment ids and port ids in the machine
    text_column("seen_fault", 1000),
    number_column("seen_vnc"),
    text_column("image_id"),
    object_column("image"),  # properties and sizes, as they were
    object_column("flavor"),
    text_column("flavor_id", NAME_CHARS, index=True),
    object_column("old_flavor", nullable=True),  # of a resize that is not confirmed
    text_column("old_host", NAME_CHARS, nullable=True),
    text_column("key_name", NAME_CHARS, nullable=True),
    sa.Column("key_data", sa.Text),
    sa.Column("user_data", sa.Text),
    flag_column("config_drive"),
    object_column("files"),
    text_column("availability_zone", NAME_CHARS),
    text_column("pinned_zone", NAME_CHARS, nullable=True),
    text_column("host", NAME_CHARS, nullable=True, index=True),
    object_column("metadata"),
    object_column("tags"),
    object_column("security_groups"),
    object_column("hints"),
    object_column("rescue", nullable=True),
    flag_column("locked"),
    text_column("locked_reason", NAME_CHARS, nullable=True),
    text_column("locked_by", 16, nullable=True),
    text_column("access_ipv4", nullable=True),
    text_column("access_ipv6", nullable=True),
    text_column("disk_config", 16),
    text_column("reservation_id"),
    number_column("launch_index"),
    text_column("root_device", 32),
    text_column("group_id", nullable=True, index=True),
    object_column("fault", nullable=True),
    sa.Column("password", sa.Text),  # set by the guest, encrypted by it
    number_column("progress"),
    time_column("created_us"),
    time_column("updated_us", index=True),
    time_column("launched_us", nullable=True),
    time_column("terminated_us", nullable=True),
    time_column("deleted_us"),  # 0: it is there
)

disk = sa.Table(
    "compute_disk",
    metadata,
    id_column(),
    reference("server_id", "compute_server.id", index=True),
    text_column("volume_id", nullable=True, index=True),
    text_column("attachment_id", nullable=True),
    text_column("source", 16),  # image, volume, snapshot, blank
    text_column("source_id"),
    number_column("size_gb"),
    text_column("device", 64),
    number_column("boot_index"),
    text_column("tag", NAME_CHARS, nullable=True),
    text_column("bus", 16),
    text_column("kind", 16),
    text_column("volume_type", NAME_CHARS, nullable=True),
    flag_column("delete_with_server"),
    flag_column("hidden"),  # the server's own disk, no tenant's volume
    flag_column("plugged"),
    object_column("connection", nullable=True),
    number_column("position"),
    time_column("created_us"),
)

nic = sa.Table(
    "compute_nic",
    metadata,
    id_column(),
    reference("server_id", "compute_server.id", index=True),
    text_column("port_id", nullable=True, index=True),
    text_column("network_id"),
    text_column("network_name", NAME_CHARS),
    text_column("mac", 32),
    number_column("mtu"),
    object_column("asked"),  # fixed address, for a port that is still to be made
    object_column("addresses"),
    text_column("tag", NAME_CHARS, nullable=True),
    flag_column("made"),  # by the service, which removes it again
    flag_column("plugged"),
    number_column("position"),
    time_column("created_us"),
)

action = sa.Table(
    "compute_action",
    metadata,
    id_column(),
    text_column("server_id", index=True),
    text_column("request_id"),
    text_column("action"),
    text_column("project_id"),
    text_column("user_id"),
    text_column("message", NAME_CHARS, nullable=True),
    object_column("events"),
    time_column("start_us"),
    time_column("updated_us"),
)

console = sa.Table(
    "compute_console",
    metadata,
    id_column(),  # digest of the token
    text_column("server_id", index=True),
    text_column("kind", 16),
    text_column("host", NAME_CHARS),
    number_column("port"),
    time_column("expires_us"),
)

verdict = sa.Table(
    "compute_verdict",
    metadata,
    id_column(),  # the server's
    object_column("reasons"),
    text_column("host", NAME_CHARS, nullable=True),
    time_column("created_us"),
)
