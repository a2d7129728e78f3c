"""Discovery: which versions there are, and the JSON home document that names every resource."""

from __future__ import annotations

from typing import Any

from core.api.call import Answer, Call
from core.api.route import PUBLIC, Route

UPDATED = "2020-04-07T00:00:00Z"
RELEASE = "v3.14"
V3_TYPE = "application/vnd.openstack.identity-v3+json"
HOME_TYPE = "application/json-home"
RELATION = "https://docs.openstack.org/api/openstack-identity/3/rel/"
PARAMETER = "https://docs.openstack.org/api/openstack-identity/3/param/"


def version(call: Call) -> dict[str, Any]:
    """The one version there is."""
    return {
        "id": RELEASE,
        "status": "stable",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": call.url("v3") + "/"}],
        "media-types": [{"base": "application/json", "type": V3_TYPE}],
    }


class Discovery:
    """Version documents."""

    def __init__(self, routes: list[Route]) -> None:
        self._resources = home(routes)

    def routes(self) -> list[Route]:
        """What is served."""
        return [
            Route("GET", "/", PUBLIC, self.versions, 300),
            Route("GET", "/v3", PUBLIC, self.v3),
        ]

    async def versions(self, call: Call) -> Answer:
        """All versions (300 Multiple Choices), or the JSON home document."""
        if wants_home(call):
            return self._home("/v3")
        location = (("Location", call.url("v3") + "/"),)
        return Answer({"versions": {"values": [version(call)]}}, 300, location)

    async def v3(self, call: Call) -> Answer:
        """Version 3, or the JSON home document."""
        if wants_home(call):
            return self._home("")
        return Answer({"version": version(call)})

    def _home(self, prefix: str) -> Answer:
        resources = {
            relation: {
                key: prefix + value if key.startswith("href") and isinstance(value, str) else value
                for key, value in resource.items()
            }
            for relation, resource in self._resources.items()
        }
        return Answer({"resources": resources}, 200, (("Content-Type", HOME_TYPE),))


def wants_home(call: Call) -> bool:
    """The client prefers JSON home to plain JSON."""
    accept = call.request.header("accept") or ""
    kinds = [part.partition(";")[0].strip() for part in accept.split(",")]
    return HOME_TYPE in kinds and "application/json" not in kinds


def home(routes: list[Route]) -> dict[str, dict[str, Any]]:
    """JSON home's resources: one for each path, below /v3."""
    resources: dict[str, dict[str, Any]] = {}
    for route in routes:
        path = route.path.removeprefix("/v3")
        segments = path.strip("/").split("/")
        variables = [segment[1:-1] for segment in segments if segment.startswith("{")]
        fixed = [segment for segment in segments if not segment.startswith("{")]
        name = "_".join(fixed).replace("-", "_").lower()
        if segments[-1].startswith("{"):
            name = singular(name)
        if variables:
            resource: dict[str, Any] = {
                "href-template": path,
                "href-vars": {variable: PARAMETER + variable for variable in variables},
            }
        else:
            resource = {"href": path}
        resources.setdefault(RELATION + name, resource)
    return resources


def singular(name: str) -> str:
    """`projects` as `project`, `policies` as `policy`."""
    return name[:-3] + "y" if name.endswith("ies") else name.removesuffix("s")
