"""`/`, `/v2.0` and `/extensions`: what there is."""

from __future__ import annotations

from typing import Any

from core.api.call import Call
from core.api.route import OWN, PUBLIC, Route
from networkd.extensions import EXTENSIONS, shown
from networkd.fault import NetworkFault

COLLECTIONS = {
    "address_group": "address-groups",
    "agent": "agents",
    "availability_zone": "availability_zones",
    "extension": "extensions",
    "floatingip": "floatingips",
    "network": "networks",
    "network_ip_availability": "network-ip-availabilities",
    "port": "ports",
    "quota": "quotas",
    "router": "routers",
    "security_group": "security-groups",
    "security_group_rule": "security-group-rules",
    "service_provider": "service-providers",
    "subnet": "subnets",
    "subnetpool": "subnetpools",
}


class Discovery:
    """What is served without looking at anything."""

    def routes(self) -> list[Route]:
        """The entry points and the list of extensions."""
        return [
            Route("GET", "/", PUBLIC, self.versions),
            Route("GET", "/v2.0", OWN, self.resources),
            Route("GET", "/v2.0/extensions", OWN, self.extensions),
            Route("GET", "/v2.0/extensions/{alias}", OWN, self.extension),
        ]

    async def versions(self, call: Call) -> dict[str, Any]:
        """All versions."""
        link = {"rel": "self", "href": f"{call.base}/v2.0/"}
        return {"versions": [{"id": "v2.0", "status": "CURRENT", "links": [link]}]}

    async def resources(self, call: Call) -> dict[str, Any]:
        """The collections of version 2."""
        return {
            "resources": [
                {
                    "name": name,
                    "collection": path.replace("-", "_"),
                    "links": [{"rel": "self", "href": f"{call.base}/v2.0/{path}"}],
                }
                for name, path in COLLECTIONS.items()
            ]
        }

    async def extensions(self, call: Call) -> dict[str, Any]:
        """All that are built."""
        del call
        return {"extensions": [shown(alias) for alias in EXTENSIONS]}

    async def extension(self, call: Call) -> dict[str, Any]:
        """One of them."""
        alias = call.variables["alias"]
        if alias not in EXTENSIONS:
            raise NetworkFault(
                404, "HTTPNotFound", f"Extension with alias {alias[:80]} does not exist"
            )
        return {"extension": shown(alias)}
