"""The image service put together: tables brought up to date, routes, what runs beside them, refusals in Glance's form."""

from __future__ import annotations

import html
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import msgspec

from core.api.app import App, Authenticate, Dialect
from core.api.fault import JSON, Fault
from core.api.route import Route, RouteTable
from core.database import Database, migrate
from core.env import Env
from core.http import Request, Response
from core.policy import Policy
from imaged import settings
from imaged.api.data import Data
from imaged.api.definitions import MetadefTags, Objects, Properties
from imaged.api.images import Images
from imaged.api.imports import Imports
from imaged.api.info import Info
from imaged.api.members import Members, Tags
from imaged.api.metadefs import Namespaces
from imaged.api.schemas import Schemas
from imaged.api.tasks import Tasks
from imaged.content import Contents
from imaged.conversion import Converter
from imaged.download import Fetcher
from imaged.importing import Importer
from imaged.intake import Intake
from imaged.library import Library
from imaged.migrations import SCHEMA
from imaged.quota import Limits
from imaged.rules import RULES
from imaged.runner import Runner
from volume.port import Volumes

PREFIX = "/image"
ROOTS = frozenset({f"{PREFIX}/", f"{PREFIX}/v2/"})
HTML = ("Content-Type", "text/html; charset=UTF-8")


async def open_library(
    env: Env,
    database: Database,
    volumes: Volumes,
    *,
    data: Path,
    policy_file: Path,
    node: str,
    limits: Limits | None = None,
) -> Library:
    """Bring the tables up to date and read what must be in memory."""
    await migrate(database, SCHEMA)
    return Library(
        env,
        database,
        Policy(RULES, policy_file),
        volumes,
        settings.load(policy_file.with_name(settings.FILE)),
        data / "scratch" / "image",
        node,
        f"{node}/{env.random_bytes(8).hex()}",
        limits,
    )


class Service(NamedTuple):
    """The API, and what works beside it (`runner.run_for_ever`)."""

    app: App
    runner: Runner


class ImageApp(App):
    """The API with refusals as Glance sends them: JSON to who asks for JSON, a page to everybody else."""

    async def handle(self, request: Request) -> Response:
        """Answer a request. A path that ends where a name should be leads nowhere."""
        if request.path.endswith("/") and request.path not in ROOTS:
            response = refuse(Fault(404, "The resource could not be found."))
        else:
            response = await super().handle(request)
        if response.status >= 400 and not _wants_json(request):
            _as_page(response)
        return response


def _wants_json(request: Request) -> bool:
    accept = request.header("accept") or ""
    kinds = [kind.partition(";")[0].strip().lower() for kind in accept.split(",")]
    return "application/json" in kinds and "text/html" not in kinds


def _as_page(response: Response) -> None:
    if not isinstance(response.body, bytes) or JSON not in response.headers:
        return
    told = msgspec.json.decode(response.body)
    title, message = html.escape(told["code"]), html.escape(told["message"])
    response.headers[response.headers.index(JSON)] = HTML
    response.body = (
        f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n"
        f"  <h1>{title}</h1>\n  {message}<br /><br />\n\n\n </body>\n</html>"
    ).encode()


def refuse(fault: Fault) -> Response:
    """A refusal in Glance's JSON form."""
    title = HTTPStatus(fault.status).phrase
    body = {"message": fault.message, "code": f"{fault.status} {title}", "title": title}
    return Response(fault.status, [JSON, *fault.headers], msgspec.json.encode(body))


def make_service(library: Library, authenticate: Authenticate, address: str) -> Service:
    """The API over a library. `address` is where it is when a client does not say (`http://host:port`)."""
    contents = Contents(library)
    intake = Intake(library, contents)
    importer = Importer(library, contents, intake, Fetcher(library.settings))
    runner = Runner(library, contents, intake, importer, Converter(library, contents))
    resources = (
        Info(library),
        Schemas(),
        Images(library, runner),
        Data(library, contents, intake, runner),
        Imports(library, contents, runner),
        Members(library),
        Tags(library),
        Tasks(library, runner),
        Namespaces(library),
        Objects(library),
        Properties(library),
        MetadefTags(library),
    )
    routes: list[Route] = [route for resource in resources for route in resource.routes()]
    app = ImageApp(
        library.env,
        RouteTable(routes),
        prefix=PREFIX,
        policy=library.policy,
        authenticate=authenticate,
        address=address,
        dialect=Dialect(refuse),
    )
    return Service(app, runner)
