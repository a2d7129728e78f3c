"""The catalog: services and endpoints as a token shows them, their addresses filled in."""

from __future__ import annotations

import re
from typing import Any

from authd import endpoint_filters
from authd.tables import catalog
from core import rows
from core.database import Connection
from core.identity import Identity

VARIABLE = re.compile(r"[$%]\(([a-z_]+)\)s")


async def of(db: Connection, identity: Identity) -> list[dict[str, Any]]:
    """Enabled services with their enabled endpoints, those that the project sees if it has such a choice.

    Endpoints whose address needs a project are left out without one.
    """
    values = {"user_id": identity.user_id}
    if identity.project_id:
        values |= {"project_id": identity.project_id, "tenant_id": identity.project_id}
    endpoints: dict[str, list[dict[str, Any]]] = {}
    for row in await endpoint_filters.visible(db, identity.project_id):
        url = filled(row["url"], values)
        if row["enabled"] and url is not None:
            endpoints.setdefault(row["service_id"], []).append(
                {
                    "id": row["id"],
                    "interface": row["interface"],
                    "region": row["region_id"],
                    "region_id": row["region_id"],
                    "url": url,
                }
            )
    return [
        {
            "id": row["id"],
            "type": row["type"],
            "name": row["extra"].get("name", ""),
            "endpoints": endpoints.get(row["id"], []),
        }
        for row in await rows.matching(db, catalog.service, enabled=True)
    ]


def filled(url: str, values: dict[str, str]) -> str | None:
    """Address with its `$(…)s` and `%(…)s` replaced, or None when a value is missing."""
    if any(found[1] not in values for found in VARIABLE.finditer(url)):
        return None
    return VARIABLE.sub(lambda found: values[found[1]], url)
