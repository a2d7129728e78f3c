"""`ringstack image`: images from files, URLs and the indexes of distributions into the cloud, by its own API.

What is fetched is checked against the published hash before anything else looks at it, and its format is what its
bytes say, never what its name says.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from cli.options import data_option, json_option
from core.api.client import Client, Reply
from core.errors import Conflict, NotFound, Refused, Unavailable
from core.installation import Installation, host_of, identity_url
from imaged.formats.detect import CONVERTED, detect, refusal
from imaged.formats.finding import Finding
from imaged.simplestreams import Disk, disks, document, product_files, root_of

PIECE_BYTES = 1 << 20
DOCUMENT_BYTES_MAX = 256 << 20
TIMEOUT_S = 60.0
READY_S = 3600.0
LOOK_S = 0.3
RAW = frozenset({"raw", "gpt", "tar"})

Advance = Callable[[int], None]


class Source(NamedTuple):
    """Bytes on this machine that become an image."""

    path: Path
    name: str


@click.group()
def image() -> None:
    """Images of the cloud."""


@image.command("import")
@data_option
@json_option
@click.argument("source")
@click.option("--name", help="Name of the image; by default from the file or the product.")
@click.option(
    "--visibility",
    type=click.Choice(["public", "community", "shared", "private"]),
    default="public",
    show_default=True,
)
@click.option("--property", "properties", multiple=True, metavar="NAME=VALUE")
@click.option("--product", metavar="PATTERN", help="Of a Simple Streams index, which product.")
def import_(
    data: Path,
    source: str,
    *,
    as_json: bool,
    name: str | None,
    visibility: str,
    properties: tuple[str, ...],
    product: str | None,
) -> None:
    """Make an image of SOURCE: a file, a URL, or a Simple Streams index (….json).

    The disk's format is found out; a format other than raw gets the form that volumes begin from at once.
    """
    attributes = {"visibility": visibility, **dict(map(pair, properties))}
    installation = Installation(data)
    installation.config()
    console = Console(stderr=True)
    scratch = installation.data / "scratch"
    scratch.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as directory:
        found = located(source, product, Path(directory), console)
        attributes |= {"name": name or found.name, "container_format": "bare"}
        attributes["disk_format"] = format_of(found.path)
        made = asyncio.run(Cloud(installation).make(attributes, found.path, console))
    if as_json:
        click.echo(json.dumps(made, indent=2))
    else:
        click.echo(f"{made['id']}  {made['name']}  {made['disk_format']}  {made['size']} bytes")


def pair(text: str) -> tuple[str, str]:
    """`NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE")
    return name, value


@contextmanager
def bar(console: Console, title: str, total: int | None) -> Iterator[Advance]:
    """A progress bar on a terminal, a plain line otherwise."""
    if not console.is_terminal:
        console.print(f"{title} ({'?' if total is None else total} bytes)", highlight=False)
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, TransferSpeedColumn(), console=console) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


# -- where the bytes come from -----------------------------------------------------------------


def located(source: str, product: str | None, directory: Path, console: Console) -> Source:
    """A file on this machine with the bytes. Raises Refused, NotFound, Unavailable."""
    if urlsplit(source).scheme not in {"http", "https", "file"}:
        path = Path(source)
        if not path.is_file():
            raise NotFound("NoFile", f"there is no file {source}")
        if path.suffix != ".json":
            return Source(path, path.stem)
        source = path.absolute().as_uri()
    if urlsplit(source).path.endswith(".json"):
        return streamed(source, product, directory, console)
    path = directory / "disk"
    fetch(source, path, console)
    return Source(path, Path(urlsplit(source).path).stem or "image")


def streamed(url: str, product: str | None, directory: Path, console: Console) -> Source:
    """The newest disk of the one product of a Simple Streams index that fits."""
    body = document(read(url))
    root = root_of(url)
    lists = [body]
    if "index" in body:
        lists = [document(read(urljoin(root, path))) for path in product_files(body)]
    found = [disk for products in lists for disk in disks(products, product or "*")]
    if len(found) != 1:
        shown = "\n".join(f"  {disk.product}  {disk.title}" for disk in found[:40])
        what = "no product fits" if not found else "choose one with --product"
        raise Refused("Product", f"{what}{':' if shown else ''}\n{shown}".rstrip())
    disk = found[0]
    path = directory / "disk"
    digest = fetch(urljoin(root, disk.path), path, console)
    check(disk, path, digest)
    return Source(path, f"{disk.title} {disk.version}")


def check(disk: Disk, path: Path, digest: str) -> None:
    """Compare what came with what was published. Raises Refused."""
    if disk.sha256 and digest != disk.sha256:
        raise Refused("BadHash", f"{disk.path} does not hash to what the index says")
    if disk.size and path.stat().st_size != disk.size:
        raise Refused("BadSize", f"{disk.path} is not as long as the index says")


def read(url: str) -> bytes:
    """A small document."""
    with opened(url) as answer:
        raw: bytes = answer.read(DOCUMENT_BYTES_MAX)
    return raw


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """A URL being read. Raises Unavailable."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - an operator's URL
            yield answer
    except (urllib.error.URLError, OSError, http.client.HTTPException) as error:
        raise Unavailable("NoAnswer", f"{url}: {error}") from None


def fetch(url: str, path: Path, console: Console) -> str:
    """Download to a file; returns its SHA-256."""
    digest = hashlib.sha256()
    with opened(url) as answer, path.open("wb") as target:
        length = answer.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        with bar(console, "downloading", total) as advance:
            while piece := answer.read(PIECE_BYTES):
                digest.update(piece)
                target.write(piece)
                advance(len(piece))
    if total is not None and path.stat().st_size != total:
        raise Unavailable("Truncated", f"{url} ended too early")
    return digest.hexdigest()


def format_of(path: Path) -> str:
    """What a file is, as the API names it. Raises Refused when it must not become an image."""
    finding = inspected(path)
    name = "raw" if finding.format in RAW else finding.format
    reason = refusal(name, "bare", finding)
    if reason is not None:
        raise Refused("Hostile", f"{path.name} is refused: {reason}")
    return name


def inspected(path: Path) -> Finding:
    """Run the service's own parsers over a file."""
    parser = detect(path.stat().st_size)
    with path.open("rb") as file:
        try:
            need = next(parser)
            while True:
                file.seek(need.offset)
                need = parser.send(file.read(need.length))
        except StopIteration as done:
            finding: Finding = done.value
            return finding


# -- into the cloud ----------------------------------------------------------------------------


class Cloud:
    """The Image API, as the cloud's administrator."""

    def __init__(self, installation: Installation) -> None:
        config = installation.config()
        self._secrets = installation.secrets()
        self._identity = Client(identity_url(config))
        self._place = (host_of(config).strip("[]"), config.api_port)
        self._client = Client(f"http://{host_of(config)}:{config.api_port}/image")

    async def make(
        self, attributes: dict[str, str], path: Path, console: Console
    ) -> dict[str, Any]:
        """Register an image, send its bytes, wait until volumes can begin from it."""
        token = await self._token()
        made = answered(await self._call(token, "POST", "/v2/images", attributes))
        try:
            self._send(token, made["id"], path, console)
            if made["disk_format"] in CONVERTED:
                await self._prepare(token, made["id"], console)
        except BaseException:
            await self._call(token, "DELETE", f"/v2/images/{made['id']}")
            raise
        return answered(await self._call(token, "GET", f"/v2/images/{made['id']}"))

    async def _token(self) -> str:
        project, _, user = self._secrets.user.partition(":")
        domain = {"id": "default"}
        password = {"user": {"name": user, "domain": domain, "password": self._secrets.key}}
        body = {
            "auth": {
                "identity": {"methods": ["password"], "password": password},
                "scope": {"project": {"name": project, "domain": domain}},
            }
        }
        reply = await self._identity.call("POST", "/v3/auth/tokens", body)
        if reply.status != 201:
            raise Refused("LogIn", f"the administrator cannot log in (status {reply.status})")
        return reply.headers["x-subject-token"]

    async def _call(self, token: str, method: str, path: str, body: Any = None) -> Reply:
        headers = {"X-Auth-Token": token, "Accept": "application/json"}
        return await self._client.call(method, path, body, headers=headers)

    def _send(self, token: str, image_id: str, path: Path, console: Console) -> None:
        size = path.stat().st_size
        connection = http.client.HTTPConnection(*self._place, timeout=TIMEOUT_S)
        with path.open("rb") as file, bar(console, "storing", size) as advance:
            connection.putrequest("PUT", f"/image/v2/images/{image_id}/file")
            for name, value in (
                ("X-Auth-Token", token),
                ("Content-Type", "application/octet-stream"),
                ("Accept", "application/json"),
                ("Content-Length", str(size)),
            ):
                connection.putheader(name, value)
            connection.endheaders()
            try:
                while piece := file.read(PIECE_BYTES):
                    connection.send(piece)
                    advance(len(piece))
                answer = connection.getresponse()
                raw = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise Unavailable("Broken", f"the upload broke off: {error}") from None
        connection.close()
        if answer.status != 204:
            answered(Reply(answer.status, {}, raw))

    async def _prepare(self, token: str, image_id: str, console: Console) -> None:
        """Have the form made that volumes begin from; an image without it is still an image."""
        begun = time.monotonic()
        path = f"/v2/images/{image_id}/actions/boot-form"
        if not shutil.which("qemu-img"):
            console.print(
                "no qemu-img here: `apt-get install qemu-utils`, then volumes can begin from it"
            )
            return
        console.print("converting", highlight=False)
        state = "wanted"
        while state == "wanted" and time.monotonic() - begun < READY_S:
            state = answered(await self._call(token, "POST", path))["boot_form"]
            await asyncio.sleep(LOOK_S if state == "wanted" else 0)
        if state != "ready":
            console.print("it cannot be converted: volumes cannot begin from it")


def answered(reply: Reply) -> dict[str, Any]:
    """The body of a success. Raises Refused or Conflict with the service's own words."""
    body: dict[str, Any] = reply.json() or {}
    if reply.status < 300:
        return body
    kind = Conflict if reply.status == 409 else Refused
    raise kind("Image", str(body.get("message", f"the image service answers {reply.status}")))
