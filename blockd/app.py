"""Block storage put together: tables brought up to date, default types, routes."""

from __future__ import annotations

from blockd import groups, volume_types
from blockd.api.discovery import Discovery
from blockd.fault import refusal
from blockd.migrations import SCHEMA
from blockd.resources import RESOURCES
from blockd.service import Service
from blockd.version import MICROVERSIONS
from blockd.worker import worker_of
from core.api.app import App, Authenticate, Dialect
from core.api.fault import Fault
from core.api.route import Route, RouteTable
from core.database import migrate
from core.http import Request, Response

__all__ = ["PREFIX", "make_app", "prepare", "routes_of", "worker_of"]

PREFIX = "/volume"
ROOTS = frozenset({f"{PREFIX}/", f"{PREFIX}/v3/"})
NOT_BUILT = (  # docs/conformance-block.md
    "v3/consistencygroups",
    "v3/cgsnapshots",
)


async def prepare(service: Service) -> None:
    """Bring the tables up to date and add the default types."""
    await migrate(service.database, SCHEMA)
    async with service.database.write() as db:
        await volume_types.ensure_default(db, service)
        await groups.ensure_default(db, service)


def routes_of(service: Service) -> list[Route]:
    """Every operation of the Block Storage API."""
    found = [route for resource in RESOURCES for route in resource(service).routes()]
    return found + Discovery().routes()


class BlockApp(App):
    """The API. A path that ends where a name should be leads nowhere."""

    async def handle(self, request: Request) -> Response:
        """Answer a request."""
        if request.path.endswith("/") and request.path not in ROOTS:
            return refusal(Fault(404, "The resource could not be found."))
        return await super().handle(request)


def make_app(service: Service, authenticate: Authenticate, address: str) -> App:
    """The API over a service. `address` is where it is when a client does not say (`http://host:port`)."""
    return BlockApp(
        service.env,
        RouteTable(routes_of(service), not_built=NOT_BUILT),
        prefix=PREFIX,
        policy=service.policy,
        authenticate=authenticate,
        address=address,
        dialect=Dialect(refusal, MICROVERSIONS),
    )
