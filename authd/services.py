"""Services of the catalog."""

from __future__ import annotations

from authd.tables import catalog, limit, policy
from core import rows
from core.api.fault import forbidden, not_found
from core.database import Connection
from core.rows import Row

TABLE = catalog.service


async def get(db: Connection, service_id: str) -> Row:
    """The service. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, service_id)
    if row is None:
        raise not_found("service", service_id)
    return row


async def delete(db: Connection, row: Row) -> None:
    """Remove a service with its endpoints. Raises Fault 403 while limits are registered for it."""
    if await rows.matching(db, limit.registered_limit, service_id=row["id"]):
        raise forbidden(f"Unable to delete service {row['id']}: limits are registered for it.")
    links = policy.policy_association
    for endpoint in await rows.matching(db, catalog.endpoint, service_id=row["id"]):
        await rows.delete(db, links, links.c.endpoint_id == endpoint["id"])
    await rows.delete(db, links, links.c.service_id == row["id"])
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
