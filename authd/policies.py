"""Policy documents that other services may fetch, and what each is meant for."""

from __future__ import annotations

import sqlalchemy as sa

from authd import regions
from authd.tables import catalog, policy
from core import rows
from core.api.fault import not_found
from core.database import Connection
from core.rows import Row

TABLE = policy.policy
LINKS = policy.policy_association

Place = dict[str, str]  # endpoint_id, service_id, region_id; "" for what does not matter


async def get(db: Connection, policy_id: str) -> Row:
    """The policy. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, policy_id)
    if row is None:
        raise not_found("policy", policy_id)
    return row


def _at(place: Place) -> list[sa.ColumnElement[bool]]:
    return [LINKS.c[name] == value for name, value in place.items()]


async def link(db: Connection, policy_id: str, place: Place) -> None:
    """Say that a policy is meant for a place, instead of another that was."""
    await rows.delete(db, LINKS, *_at(place))
    await rows.insert(db, LINKS, {**place, "policy_id": policy_id})


async def check(db: Connection, policy_id: str, place: Place) -> None:
    """Raises Fault 404 unless the policy is meant for the place."""
    statement = sa.select(LINKS).where(*_at(place), LINKS.c.policy_id == policy_id)
    if await rows.first(db, statement) is None:
        raise not_found("policy association", policy_id)


async def unlink(db: Connection, policy_id: str, place: Place) -> None:
    """End it. Raises Fault 404."""
    if not await rows.delete(db, LINKS, *_at(place), LINKS.c.policy_id == policy_id):
        raise not_found("policy association", policy_id)


async def endpoints_of(db: Connection, policy_id: str) -> list[Row]:
    """The endpoints for which a policy counts, the most specific association deciding."""
    return [
        endpoint
        for endpoint in await rows.matching(db, catalog.endpoint)
        if await of_endpoint(db, endpoint) == policy_id
    ]


async def of_endpoint(db: Connection, endpoint: Row) -> str | None:
    """Id of the policy of an endpoint: its own, that of its service in its region or above, or its service's."""
    service_id, region_id = endpoint["service_id"], endpoint["region_id"]
    places = [{"endpoint_id": endpoint["id"], "service_id": "", "region_id": ""}]
    while region_id:
        places.append({"endpoint_id": "", "service_id": service_id, "region_id": region_id})
        region = await rows.by_id(db, regions.TABLE, region_id)
        region_id = region["parent_region_id"] if region else None
    places.append({"endpoint_id": "", "service_id": service_id, "region_id": ""})
    for place in places:
        found = await rows.first(db, sa.select(LINKS.c.policy_id).where(*_at(place)))
        if found is not None:
            return str(found["policy_id"])
    return None
