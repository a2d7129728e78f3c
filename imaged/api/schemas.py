"""`/v2/schemas/…`: the JSON schema of every resource."""

from __future__ import annotations

from typing import Any

from core.api.call import Call
from core.api.route import OWN, Route
from imaged import metadef_schemas, schemas


class Schemas:
    """Documents that never change."""

    def __init__(self) -> None:
        self._documents = schemas.documents() | metadef_schemas.documents()

    def routes(self) -> list[Route]:
        """What is served."""
        return [Route("GET", f"/v2/schemas/{name}", OWN, self.show) for name in self._documents]

    async def show(self, call: Call) -> dict[str, Any]:
        """One document."""
        return self._documents[call.route.path.removeprefix("/v2/schemas/")]
