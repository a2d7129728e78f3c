"""Endpoints of the catalog: addresses with places for a project's or user's id."""

from __future__ import annotations

from authd import catalog as catalogs
from authd.tables import catalog, policy
from core import rows
from core.api.fault import bad_request, not_found
from core.database import Connection
from core.rows import Row

TABLE = catalog.endpoint
# What may stand in an address, see `authd.catalog`.
KNOWN = {"project_id": "p", "tenant_id": "p", "user_id": "u"}


async def get(db: Connection, endpoint_id: str) -> Row:
    """The endpoint. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, endpoint_id)
    if row is None:
        raise not_found("endpoint", endpoint_id)
    return row


def check_url(url: str) -> None:
    """Refuse an address with places that nothing fills. Raises Fault 400."""
    filled = catalogs.filled(url, KNOWN)
    if filled is None or "$(" in filled or "%(" in filled:
        raise bad_request(f"Invalid URL for an endpoint: {url[:200]}")


async def check_place(db: Connection, changes: Row) -> None:
    """Refuse a service or region that is not there. Raises Fault 400."""
    service_id, region_id = changes.get("service_id"), changes.get("region_id")
    if service_id is not None and await rows.by_id(db, catalog.service, service_id) is None:
        raise bad_request(f"Expecting to find service_id {service_id} in the services.")
    if region_id is not None and await rows.by_id(db, catalog.region, region_id) is None:
        raise bad_request(f"Expecting to find region_id {region_id} in the regions.")


async def delete(db: Connection, row: Row) -> None:
    """Remove an endpoint."""
    links = policy.policy_association
    await rows.delete(db, links, links.c.endpoint_id == row["id"])
    await rows.delete(db, TABLE, TABLE.c.id == row["id"])
