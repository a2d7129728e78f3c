"""A whole image service in the test's own process: real routes, real SQL, volumes in memory, a clock to move."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from core.api.fault import unauthorized
from core.database import Database
from core.http import Request
from core.identity import Identity
from imaged.app import make_service, open_library
from imaged.settings import FILE
from tests.ending import end_all
from tests.identity_site import MovableEnv, Reply
from volume.memory import MemoryVolumes
from volume.port import Volumes

ROLES = {
    "admin": ("admin", "manager", "member", "reader"),
    "service": ("service", "admin", "manager", "member", "reader"),
    "member": ("member", "reader"),
    "reader": ("reader",),
}
PROJECTS = {"admin": "a" * 32, "demo": "d" * 32, "other": "e" * 32, "service": "f" * 32}
OCTETS = {"content-type": "application/octet-stream"}
PATCH = {"content-type": "application/openstack-images-v2.1-json-patch"}
MIB = 1 << 20


class ImageSite:
    """The API behind one method, `call`. Callers are written `role` or `role@project`."""

    def __init__(
        self,
        directory: Path,
        url: str = "",
        *,
        volumes: Volumes | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        self.directory = directory
        self.url = url or f"sqlite+aiosqlite:///{directory}/cloud.db"
        self.loop = asyncio.new_event_loop()
        self.env = MovableEnv()
        self.volumes: Volumes = volumes or MemoryVolumes(self.env.wall_us)
        if settings is not None:
            (directory / FILE).write_bytes(msgspec.json.encode(settings))
        self.start()

    def start(self, node: str = "node-1") -> None:
        """Begin, or begin again as another process over the same rows and volumes."""
        self.database = Database(self.url)
        self.library = self.run(
            open_library(
                self.env,
                self.database,
                self.volumes,
                data=self.directory,
                policy_file=self.directory / "image.yaml",
                node=node,
            )
        )
        self.service = make_service(self.library, self._authenticate, "http://cloud.test:5000")
        self.app, self.runner = self.service

    async def _authenticate(self, request: Request) -> Identity | None:
        who = request.header("x-auth-token")
        if who is None:
            return None
        role, _, project = who.partition("@")
        if role not in ROLES:
            raise unauthorized()
        project = project or {"admin": "admin", "service": "service"}.get(role, "demo")
        return Identity(
            user_id=f"user-{role}", project_id=PROJECTS[project], roles=ROLES[role], user_name=role
        )

    def run(self, work: Any) -> Any:
        """Await in the site's loop."""
        return self.loop.run_until_complete(work)

    def settle(self) -> None:
        """Let everything that is due be done."""
        self.run(self.runner.settle())

    def close(self) -> None:
        """Let go of the database."""
        self.run(self._end())
        for thread in threading.enumerate():  # SQLite answers from threads, to a loop that is open
            if "_connection_worker_thread" in thread.name:
                thread.join(0.05)
        self.loop.close()

    async def _end(self) -> None:
        await self.runner.stop()
        await end_all(self.database)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str | None = "member",
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """One request; `path` is below /image. `who=None` sends no token."""
        return self.run(self.acall(method, path, body, who=who, headers=headers, raw=raw))

    async def acall(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str | None = "member",
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """The same, to be awaited."""
        parts = urlsplit(path)
        data = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
        sent = {b"host": b"cloud.test:5000", b"accept": b"application/json"}
        if data:
            sent[b"content-type"] = b"application/json"
        if who is not None:
            sent[b"x-auth-token"] = who.encode()
        for name, value in (headers or {}).items():
            sent[name.lower().encode()] = value.encode()
        request = Request(method, "/image" + parts.path, parts.query, sent)
        request.body.length = len(data)
        if data:
            request.body.feed(data)
        request.body.finish()
        response = await self.app.handle(request)
        got = response.body if isinstance(response.body, bytes) else b""
        if not isinstance(response.body, bytes):
            got = b"".join([chunk async for chunk in response.body])
        names = {name.lower(): value for name, value in response.headers}
        kind = names.get("content-type", "")
        return Reply(
            response.status, names, json.loads(got) if "json" in kind and got else None, got
        )

    def image(
        self, data: bytes | None = None, *, who: str = "member", **given: Any
    ) -> dict[str, Any]:
        """Register an image and, with `data`, upload it."""
        attributes = {"disk_format": "raw", "container_format": "bare", **given}
        reply = self.call("POST", "/v2/images", attributes, who=who)
        assert reply.status == 201, reply
        made: dict[str, Any] = reply.body
        if data is not None:
            sent = self.upload(made["id"], data, who=who)
            assert sent.status == 204, sent
            made = self.show(made["id"], who=who)
        return made

    def upload(self, image_id: str, data: bytes, *, who: str = "member") -> Reply:
        """PUT its bytes."""
        return self.call("PUT", f"/v2/images/{image_id}/file", raw=data, headers=OCTETS, who=who)

    def stage(self, image_id: str, data: bytes) -> Reply:
        """PUT its bytes aside."""
        return self.call("PUT", f"/v2/images/{image_id}/stage", raw=data, headers=OCTETS)

    def show(self, image_id: str, *, who: str = "member") -> dict[str, Any]:
        """The image now."""
        reply = self.call("GET", f"/v2/images/{image_id}", who=who)
        assert reply.status == 200, reply
        shown: dict[str, Any] = reply.body
        return shown

    def patch(self, image_id: str, *changes: dict[str, Any], who: str = "member") -> Reply:
        """Change it by JSON patch."""
        return self.call("PATCH", f"/v2/images/{image_id}", list(changes), headers=PATCH, who=who)

    def fetch(self, url: str, *, who: str = "member", **given: Any) -> dict[str, Any]:
        """Register an image and import it from a URL, to the end."""
        made = self.image(who=who, **given)
        method = {"name": "web-download", "uri": url}
        reply = self.call("POST", f"/v2/images/{made['id']}/import", {"method": method}, who=who)
        assert reply.status == 202, reply
        self.settle()
        return self.show(made["id"], who=who)
