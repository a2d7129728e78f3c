"""The compute service put together: tables brought up to date, routes."""

from __future__ import annotations

from computed.api.discovery import Discovery
from computed.fault import refusal
from computed.migrations import SCHEMA
from computed.resources import RESOURCES
from computed.service import Service
from computed.version import MICROVERSIONS
from computed.worker import worker_of
from core.api.app import App, Authenticate, Dialect
from core.api.fault import Fault
from core.api.microversion import HEADER, version_text
from core.api.route import Route, RouteTable
from core.database import migrate
from core.http import Request, Response

__all__ = ["PREFIX", "make_app", "prepare", "routes_of", "worker_of"]

PREFIX = "/compute"
ROOTS = frozenset({f"{PREFIX}/", f"{PREFIX}/v2.1/", f"{PREFIX}/v2/"})
OLD_HEADER = "x-openstack-nova-api-version"
NOT_BUILT = ("v2.1/os-assisted-volume-snapshots",)  # docs/conformance-compute.md


async def prepare(service: Service) -> None:
    """Bring the tables up to date."""
    await migrate(service.database, SCHEMA)


def routes_of(service: Service) -> list[Route]:
    """Every operation of the Compute API."""
    found = [route for resource in RESOURCES for route in resource(service).routes()]
    return found + Discovery().routes()


class ComputeApp(App):
    """The API. Its microversion has an older header too; a path that ends where a name should be leads nowhere."""

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        path = request.path
        if path.endswith("/") and path not in ROOTS and not path.startswith(f"{PREFIX}/metadata/"):
            return refusal(Fault(404, "The resource could not be found."))
        if path == f"{PREFIX}/v2" or path.startswith(f"{PREFIX}/v2/"):
            request.path = PREFIX + "/v2.1" + path[len(PREFIX) + 3 :]
            request.context["old"] = "v2"
            request.headers.pop(HEADER.encode(), None)
            request.headers.pop(OLD_HEADER.encode(), None)
        old = request.header(OLD_HEADER)
        if old is not None and request.header(HEADER) is None:
            request.headers[HEADER.encode()] = f"compute {old}".encode("latin-1")
        response = await super().handle(request)
        version = request.context.get("microversion")
        if version is not None:
            response.headers.append(("X-OpenStack-Nova-API-Version", version_text(version)))
            response.headers.append(("Vary", "X-OpenStack-Nova-API-Version"))
        response.headers.append(("x-compute-request-id", str(request.context["id"])))
        return response


def make_app(service: Service, authenticate: Authenticate, address: str) -> App:
    """The API over a service. `address` is where it is when a client does not say (`http://host:port`)."""
    return ComputeApp(
        service.env,
        RouteTable(routes_of(service), not_built=NOT_BUILT),
        prefix=PREFIX,
        policy=service.policy,
        authenticate=authenticate,
        address=address,
        dialect=Dialect(refusal, MICROVERSIONS),
    )
