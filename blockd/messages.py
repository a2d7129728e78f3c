"""Messages to tenants: what became of an operation that failed after it was accepted. They go after 30 days."""

from __future__ import annotations

from blockd.service import Service
from blockd.tables import message
from core import rows
from core.database import Connection
from core.rows import Row

TABLE = message.message
KEPT_US = 30 * 86_400 * 1_000_000
# Resource type, action and detail as Cinder's user messages number them.
EVENTS = {
    "schedule": "VOLUME_VOLUME_001_002",
    "volume.create": "VOLUME_VOLUME_001_001",
    "volume.delete": "VOLUME_VOLUME_014_001",
    "volume.extend": "VOLUME_VOLUME_007_001",
    "volume.upload": "VOLUME_VOLUME_003_001",
    "snapshot.create": "VOLUME_SNAPSHOT_010_001",
    "snapshot.delete": "VOLUME_SNAPSHOT_011_001",
    "backup.create": "VOLUME_BACKUP_013_001",
    "backup.delete": "VOLUME_BACKUP_015_001",
    "backup.restore": "VOLUME_BACKUP_018_001",
}
TYPES = {"volume": "VOLUME", "snapshot": "VOLUME_SNAPSHOT", "backup": "VOLUME_BACKUP"}


async def tell(
    db: Connection, service: Service, work: Row, text: str, *, event: str | None = None
) -> None:
    """Tell the project behind a row of work why it failed."""
    now_us = service.now_us()
    kind = str(work["kind"])
    await rows.insert(
        db,
        TABLE,
        {
            "id": service.new_id(),
            "project_id": work["project_id"],
            "request_id": work["request_id"] or "req-none",
            "resource_type": TYPES.get(kind.partition(".")[0], "VOLUME"),
            "resource_id": work["subject_id"],
            "event_id": EVENTS.get(event or kind, "VOLUME_VOLUME_000_001"),
            "level": "ERROR",
            "text": text[:1000],
            "created_us": now_us,
            "expires_us": now_us + KEPT_US,
        },
    )


async def forget_before(db: Connection, now_us: int) -> int:
    """Remove what has expired; returns how many."""
    return await rows.delete(db, TABLE, TABLE.c.expires_us <= now_us)
