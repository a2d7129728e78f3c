"""Volume types: what kinds of volumes there are, who may use them, and what they mean for the library.

Extra specs that are requirements (`volume_backend_name`, `storage_protocol`, `vendor_name`) are compared with what the
one backend is; the others that mean something here are `multiattach`, `ringstack:policy` and `ringstack:retention_s`.
"""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from blockd.fault import absent
from blockd.port import Limits
from blockd.service import BACKEND, Service
from blockd.tables import volume, volume_type
from core import rows
from core.api.call import Call
from core.api.fault import conflict
from core.database import Connection
from core.rows import Row

TABLE = volume_type.volume_type
ACCESS = volume_type.access
DEFAULT = volume_type.default
QOS = volume_type.qos
DEFAULT_NAME = "__DEFAULT__"
VENDOR = "Ringstack"
PROTOCOL = "nbd"
CAPABILITIES: Mapping[str, str] = {
    "volume_backend_name": BACKEND,
    "storage_protocol": PROTOCOL,
    "vendor_name": VENDOR,
}
RETENTION_S_MAX = 30 * 86_400


async def ensure_default(db: Connection, service: Service) -> None:
    """The type of volumes that name none is there from the first start on."""
    if await named(db, DEFAULT_NAME) is None:
        await rows.insert(
            db,
            TABLE,
            {
                "id": service.new_id(),
                "name": DEFAULT_NAME,
                "description": "Default Volume Type",
                "is_public": True,
                "qos_id": None,
                "extra_specs": {},
                "encryption": None,
                "created_us": service.now_us(),
                "updated_us": None,
            },
        )


async def named(db: Connection, name: str) -> Row | None:
    """A type by name."""
    return await rows.first(db, sa.select(TABLE).where(TABLE.c.name == name))


async def find(db: Connection, reference: str) -> Row | None:
    """A type by id or name."""
    return await rows.by_id(db, TABLE, reference) or await named(db, reference)


async def has_access(db: Connection, row: Row, project_id: str) -> bool:
    """Whether a project may use a type."""
    if row["is_public"]:
        return True
    found = sa.select(ACCESS).where(
        ACCESS.c.type_id == row["id"], ACCESS.c.project_id == project_id
    )
    return await rows.first(db, found) is not None


async def get(db: Connection, call: Call, type_id: str) -> Row:
    """A type by id that the caller may see. Raises Fault 404."""
    call.absence_is_open = True
    row = await rows.by_id(db, TABLE, type_id)
    if row is None or not (
        call.may("context_is_admin") or await has_access(db, row, call.identity.project_id)
    ):
        raise absent("Volume type", type_id[:80])
    return row


async def for_use(db: Connection, call: Call, reference: str) -> Row:
    """A type that a new volume names, by id or name. Raises Fault 404."""
    row = await find(db, reference)
    allowed = row is not None and (
        call.may("context_is_admin") or await has_access(db, row, call.identity.project_id)
    )
    if row is None or not allowed:
        call.absence_is_open = True
        raise absent("Volume type", reference[:80])
    return row


async def default_for(db: Connection, project_id: str) -> Row:
    """The type of a project's volumes that name none."""
    statement = sa.select(TABLE).join(DEFAULT, DEFAULT.c.type_id == TABLE.c.id)
    row = await rows.first(db, statement.where(DEFAULT.c.project_id == project_id))
    row = row or await named(db, DEFAULT_NAME)
    assert row is not None, "the default type cannot be deleted"
    return row


async def in_use(db: Connection, type_id: str) -> bool:
    """Whether volumes have it."""
    return await rows.count(db, volume.volume, volume.volume.c.volume_type_id == type_id) > 0


async def check_free(db: Connection, name: str, but: str = "") -> None:
    """Raise Fault 409 when another type has this name."""
    row = await named(db, name)
    if row is not None and row["id"] != but:
        raise conflict(f"Volume Type {name[:80]} already exists.")


def unmet(row: Row) -> str | None:
    """The requirement of a type that the backend does not meet, or None."""
    for key, own in CAPABILITIES.items():
        wanted = row["extra_specs"].get(key, row["extra_specs"].get(f"capabilities:{key}"))
        if wanted is not None and wanted.removeprefix("<is> ") != own:
            return key
    return None


def shareable(row: Row) -> bool:
    """Whether several attachments may write at once."""
    return str(row["extra_specs"].get("multiattach", "")).strip().lower() == "<is> true"


def policy_of(row: Row) -> str | None:
    """The storage policy of the object store that its volumes are kept under."""
    return row["extra_specs"].get("ringstack:policy") or None


def retention_s(row: Row) -> int:
    """How far back its volumes can be looked at."""
    raw = str(row["extra_specs"].get("ringstack:retention_s", "0"))
    return min(int(raw), RETENTION_S_MAX) if raw.isascii() and raw.isdigit() else 0


async def limits_of(db: Connection, row: Row, size: int) -> Limits:
    """What QoS specs that the backend enforces allow a volume of `size` GiB."""
    found = await rows.by_id(db, QOS, row["qos_id"]) if row["qos_id"] else None
    if found is None:
        return Limits()
    specs = found["specs"]

    def figure(name: str) -> int:
        raw = str(specs.get(f"{name}_sec", "") or "0")
        each = str(specs.get(f"{name}_sec_per_gb", "") or "0")
        value = int(raw) if raw.isdigit() else 0
        return int(each) * size if each.isdigit() and int(each) else value

    return Limits(
        read_iops=figure("read_iops"),
        write_iops=figure("write_iops"),
        total_iops=figure("total_iops"),
        read_bytes=figure("read_bytes"),
        write_bytes=figure("write_bytes"),
        total_bytes=figure("total_bytes"),
    )
