"""The Placement API put together, over the tables of servers."""

from __future__ import annotations

from typing import Any

from computed.placement.claims_api import Allocations
from computed.placement.fault import refusal
from computed.placement.names import Names
from computed.placement.providers import Providers
from computed.service import Service
from computed.version import PLACEMENT
from core.api.app import App, Authenticate, Dialect
from core.api.call import Call
from core.api.microversion import version_text
from core.api.route import PUBLIC, Route, RouteTable

PREFIX = "/placement"


async def versions(call: Call) -> dict[str, Any]:
    """The one version there is."""
    return {
        "versions": [
            {
                "id": "v1.0",
                "status": "CURRENT",
                "min_version": version_text(PLACEMENT.lowest),
                "max_version": version_text(PLACEMENT.highest),
                "links": [{"rel": "self", "href": call.base}],
            }
        ]
    }


def routes_of(service: Service) -> list[Route]:
    """Every operation of the Placement API."""
    found = [Route("GET", "/", PUBLIC, versions)]
    for resource in (Providers(service), Names(service), Allocations(service)):
        found += resource.routes()
    return found


def make_app(service: Service, authenticate: Authenticate, address: str) -> App:
    """The API over a service."""
    return App(
        service.env,
        RouteTable(routes_of(service)),
        prefix=PREFIX,
        policy=service.policy,
        authenticate=authenticate,
        address=address,
        dialect=Dialect(refusal, PLACEMENT),
    )
