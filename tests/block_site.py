"""A whole Block Storage service in the test's own process: real routes, real SQL, volumes in memory, a clock to move."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from blockd.app import make_app, prepare, worker_of
from blockd.port import ExportInfo, ImageInfo, Limits, Place
from blockd.rules import RULES
from blockd.service import Service
from core import keyring as keys
from core.api.fault import unauthorized
from core.authenticator import Authenticator
from core.bearer import audit_text, seal
from core.database import Database
from core.errors import Conflict, NotFound, Refused, Unavailable
from core.http import Request
from core.identity import Identity
from core.keyring import Keyring
from core.policy import Policy
from core.revocation import RevocationList
from tests.ending import end_all
from tests.identity_site import MovableEnv, Reply, reply_of
from volume.memory import MemoryVolumes

ROLES = {
    "admin": ("admin", "manager", "member", "reader"),
    "member": ("member", "reader"),
    "reader": ("reader",),
}
PROJECTS = {"admin": "a" * 32, "demo": "d" * 32, "other": "e" * 32}


class MemoryExports:
    """`blockd.port.Exports` that only remembers."""

    def __init__(self, volumes: MemoryVolumes) -> None:
        self.volumes = volumes
        self.open_ones: dict[str, tuple[str, bool, Limits]] = {}
        self.flushed: list[str] = []
        self.cuts: list[tuple[str, ...]] = []
        self.down = False

    async def open(
        self, volume_id: str, attachment_id: str, *, read_only: bool, limits: Limits
    ) -> ExportInfo:
        if self.down:
            raise Unavailable("Down", "the daemon does not answer")
        await self.volumes.describe(volume_id)
        self.open_ones[attachment_id] = (volume_id, read_only, limits)
        return ExportInfo(attachment_id, "127.0.0.1", 10809, True, "/run/block.sock")

    async def close(self, attachment_id: str) -> None:
        self.open_ones.pop(attachment_id, None)

    async def flush(self, volume_id: str) -> None:
        self.flushed.append(volume_id)

    async def snapshot_together(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.cuts.append(tuple(volume_id for volume_id, _ in pairs))
        for volume_id, snapshot_id in pairs:
            await self.volumes.snapshot(volume_id, snapshot_id)

    async def resize(self, volume_id: str, size: int) -> None:
        if self.down:
            raise Unavailable("Down", "the daemon does not answer")
        await self.volumes.resize(volume_id, size)


class MemoryImages:
    """`blockd.port.Images` over a dictionary; an image's boot form is a volume of the library."""

    def __init__(self, volumes: MemoryVolumes) -> None:
        self.volumes = volumes
        self.images: dict[str, ImageInfo] = {}
        self.places: dict[str, Place] = {}
        self.deleted: list[str] = []
        self.made = 0
        self.refusing = False
        self.asked: list[str] = []  # tokens

    def add(self, image: ImageInfo, place: Place | None = None) -> None:
        self.images[image.id] = image
        if place is not None:
            self.places[image.id] = place

    async def show(self, image: str, *, token: str) -> ImageInfo:
        self.asked.append(token)
        found = [one for one in self.images.values() if image in {one.id, one.name}]
        if len(found) > 1:
            raise Conflict("Ambiguous", "Multiple matches found")
        if not found:
            raise NotFound("NoSuchImage", image)
        return found[0]

    async def place(self, image_id: str) -> Place:
        if image_id not in self.places:
            raise NotFound("NoSuchImage", image_id)
        return self.places[image_id]

    async def create(self, attributes: Mapping[str, Any], *, token: str) -> ImageInfo:
        self.made += 1
        image = ImageInfo(
            id=f"00000000-0000-4000-8000-{self.made:012}",
            status="queued",
            name=attributes["name"],
            disk_format=attributes["disk_format"],
            container_format=attributes["container_format"],
        )
        self.images[image.id] = image
        return image

    async def fill(self, image_id: str, place: Place, size: int) -> None:
        if self.refusing:
            raise Refused("Refused", "the image is not wanted")
        old = self.images[image_id]
        self.images[image_id] = ImageInfo(
            id=old.id, status="active", name=old.name, disk_format=old.disk_format, size=size
        )
        await self.volumes.clone(image_id, place.volume_id, place.snapshot_id)
        await self.volumes.snapshot(image_id, image_id)
        self.places[image_id] = Place(image_id, image_id)

    async def delete(self, image_id: str) -> None:
        self.deleted.append(image_id)
        self.images.pop(image_id, None)


class MemoryChunks:
    """`blockd.port.Chunks` over a dictionary."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.put_count = 0

    async def put(self, container: str, name: str, data: bytes) -> None:
        self.put_count += 1
        self.objects[container, name] = bytes(data)

    async def get(self, container: str, name: str) -> bytes:
        try:
            return self.objects[container, name]
        except KeyError:
            raise NotFound("NoSuchObject", name) from None

    async def delete(self, container: str, name: str) -> None:
        self.objects.pop((container, name), None)

    async def names(self, container: str, prefix: str) -> list[str]:
        held = (name for place, name in self.objects if place == container)
        return sorted(name for name in held if name.startswith(prefix))[:2]


class KnownServers:
    """`blockd.port.Servers` in memory."""

    def __init__(self) -> None:
        self.uses_of: set[tuple[str, str]] = set()

    async def uses(self, server_id: str, volume_id: str) -> bool:
        return (server_id, volume_id) in self.uses_of


class BlockSite:
    """The API behind one method, `call`; work is done when a test says `settle`, or after every call."""

    def __init__(self, directory: Path, url: str = "") -> None:
        self.loop = asyncio.new_event_loop()
        self.env = MovableEnv()
        self.database = Database(url or f"sqlite+aiosqlite:///{directory}/cloud.db")
        keys.create(directory / "keys", self.env)
        self.keyring = Keyring(directory / "keys")
        self.keyring.load()
        self.volumes = MemoryVolumes(self.env.wall_us)
        self.exports = MemoryExports(self.volumes)
        self.images = MemoryImages(self.volumes)
        self.chunks = MemoryChunks()
        self.policy_file = directory / "policy" / "block.yaml"
        self.servers = KnownServers()
        self.service = Service(
            self.env,
            self.database,
            Policy(RULES, self.policy_file),
            self.volumes,
            self.exports,
            self.images,
            self.chunks,
            "node1",
            self.servers,
        )
        self.run(prepare(self.service))
        verifier = Authenticator(self.env, self.keyring, RevocationList())

        async def authenticate(request: Request) -> Identity | None:
            token = request.header("x-auth-token")
            try:
                return None if token is None else verifier.verify(token)
            except Refused:
                raise unauthorized() from None

        self.app = make_app(self.service, authenticate, "http://cloud.test:5000")
        self.worker = worker_of(self.service)
        self.settles = True  # after each call
        self._tokens: dict[str, str] = {}

    def run(self, work: Any) -> Any:
        """Await in the site's loop."""
        return self.loop.run_until_complete(work)

    def settle(self) -> None:
        """Do all work that is ready."""
        self.run(self.worker.settle())

    def close(self) -> None:
        """Let go of the database."""
        self.run(self._end())
        for thread in threading.enumerate():  # SQLite answers from threads, to a loop that is open
            if "_connection_worker_thread" in thread.name:
                thread.join(0.05)
        self.loop.close()

    async def _end(self) -> None:
        await end_all(self.database)

    def token(self, who: str) -> str:
        """`admin`, `demo` (a member), `demo:reader`, `other`, …: project and, after a colon, persona."""
        if who not in self._tokens:
            project, _, persona = who.partition(":")
            persona = persona or ("admin" if project == "admin" else "member")
            now_us = self.env.wall_us()
            identity = Identity(
                user_id=f"{persona[0]}" * 31 + project[0],
                user_name=who,
                user_domain_id="default",
                project_id=PROJECTS[project],
                project_name=project,
                project_domain_id="default",
                roles=ROLES[persona],
                methods=("password",),
                issued_us=now_us,
                expires_us=now_us + 10**13,
                audit_ids=(audit_text(self.env.random_bytes(16)),),
            )
            assert self.keyring.primary is not None
            self._tokens[who] = seal(self.keyring.primary, self.env.random_bytes(12), identity)
        return self._tokens[who]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str | None = "demo",
        version: str | None = "latest",
        raw: bytes | None = None,
    ) -> Reply:
        """One request; `path` is below /volume/v3. `who=None` sends no token."""
        parts = urlsplit(path)
        data = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
        sent = {b"host": b"cloud.test:5000", b"content-type": b"application/json"}
        if who is not None:
            sent[b"x-auth-token"] = self.token(who).encode()
        if version is not None:
            sent[b"openstack-api-version"] = f"volume {version}".encode()
        request = Request(method, "/volume/v3" + parts.path, parts.query, sent)
        request.body.length = len(data)
        if data:
            request.body.feed(data)
        request.body.finish()
        reply = reply_of(self.run(self.app.handle(request)))
        if self.settles:
            self.settle()
        return reply

    def admin(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """A call by an administrator."""
        return self.call(method, path, body, who="admin", **options)

    def make(self, kind: str, *, who: str = "demo", **attributes: Any) -> dict[str, Any]:
        """Create a `volume`, `snapshot`, … and return it as it is once it is made."""
        plural = f"{kind}s"
        reply = self.call("POST", f"/{plural}", {kind: attributes}, who=who)
        assert reply.status in {200, 202}, reply
        self.settle()
        name = reply.body[kind]["id"]
        made: dict[str, Any] = self.call("GET", f"/{plural}/{name}", who=who).body[kind]
        return made

    def status(self, kind: str, name: str) -> str:
        """Status of something, or `gone`."""
        reply = self.admin("GET", f"/{kind}s/{name}")
        return "gone" if reply.status == 404 else str(reply.body[kind]["status"])

    def write(self, engine_id: str, offset: int, data: bytes) -> None:
        """Bytes into a volume of the library."""

        async def work() -> None:
            disk = await self.volumes.attach(engine_id, "test")
            await disk.write(offset, data)
            await disk.close()

        self.run(work())

    def read(self, engine_id: str, offset: int, length: int) -> bytes:
        """Bytes of a volume of the library."""

        async def work() -> bytes:
            disk = await self.volumes.view(engine_id)
            return await disk.read(offset, length)

        found: bytes = self.run(work())
        return found
