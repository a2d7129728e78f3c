"""`/v2/info/…` and the versions: what this service offers, and how much of it a project uses."""

from __future__ import annotations

from typing import Any

from core.api.call import Answer, Call
from core.api.route import OWN, PUBLIC, Route
from imaged import images, quota
from imaged.importing import METHODS
from imaged.library import STORE, Library

CURRENT = "v2.17"
SUPPORTED = tuple(f"v2.{minor}" for minor in (15, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0))


class Info:
    """Discovery of methods, stores, usage and versions."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("GET", "/", PUBLIC, self.choices, 300),
            Route("GET", "/versions", PUBLIC, self.versions),
            Route("GET", "/v2", PUBLIC, self.choices, 300),
            Route("GET", "/v2/info/import", OWN, self.methods),
            Route("GET", "/v2/info/stores", OWN, self.stores),
            Route("GET", "/v2/info/stores/detail", "stores_info_detail", self.stores_detail),
            Route("GET", "/v2/info/usage", OWN, self.usage),
        ]

    def _versions(self, call: Call) -> dict[str, Any]:
        links = [{"rel": "self", "href": call.url("v2") + "/"}]
        rows = [(CURRENT, "CURRENT"), *((name, "SUPPORTED") for name in SUPPORTED)]
        return {"versions": [{"id": name, "status": state, "links": links} for name, state in rows]}

    async def choices(self, call: Call) -> Answer:
        """All versions, as several to choose from."""
        return Answer(self._versions(call), 300)

    async def versions(self, call: Call) -> dict[str, Any]:
        """All versions."""
        return self._versions(call)

    async def methods(self, call: Call) -> dict[str, Any]:
        """Import methods."""
        del call
        value = {
            "description": "Import methods available.",
            "type": "array",
            "value": list(METHODS),
        }
        return {"import-methods": value}

    async def stores(self, call: Call) -> dict[str, Any]:
        """The one store."""
        del call
        return {"stores": [_store()]}

    async def stores_detail(self, call: Call) -> dict[str, Any]:
        """The one store, with what there is to know about it."""
        call.allow()
        properties = {"chunk_size": 4 << 20, "thin_provisioning": True}
        detail = {**_store(), "type": "ringstack", "weight": 0, "properties": properties}
        return {"stores": [detail]}

    async def usage(self, call: Call) -> dict[str, Any]:
        """What the caller's project uses of its limits."""
        project_id, limits = call.identity.project_id, self._library.limits
        if limits is None or not project_id:
            return {"usage": {}}
        given = await limits.of_project(project_id)
        async with self._library.database.read() as db:
            used = quota.usage(await images.owned(db, project_id))
        return {
            "usage": {
                name: {"usage": used[name], "limit": given.get(name, -1)}
                for name in quota.RESOURCES
            }
        }


def _store() -> dict[str, Any]:
    return {"id": STORE, "default": "true", "description": "Frozen volumes on the ring"}
