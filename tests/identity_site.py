"""A whole identity service in the test's own process: real routes, real SQL, a clock that the test moves."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from authd.app import make_app, open_authority
from authd.authority import Authority
from authd.bootstrap import Plan, bootstrap
from core import keyring as keys
from core.database import Database
from core.http import Request, Response
from core.keyring import Keyring
from core.real import RealEnv
from tests.ending import end_all

ADMIN_PASSWORD = "admin-secret"
DEMO_PASSWORD = "demo-secret"
ADMIN_PROJECT = "a" * 32
ADDRESS = "http://cloud.test:5000"


class MovableEnv(RealEnv):
    """The real world, except that the test may move the clock."""

    def __init__(self) -> None:
        super().__init__(2)
        self.ahead_us = 0

    def wall_us(self) -> int:
        return super().wall_us() + self.ahead_us

    def advance(self, seconds: float) -> None:
        self.ahead_us += int(seconds * 1e6)


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: Any
    raw: bytes


class IdentitySite:
    """The API behind one method, `call`; tokens of the admin and of the demo user are made when asked for."""

    def __init__(self, directory: Path, url: str = "") -> None:
        self.directory = directory
        self.loop = asyncio.new_event_loop()
        self.env = MovableEnv()
        self.database = Database(url or f"sqlite+aiosqlite:///{directory}/cloud.db")
        self.policy_file = directory / "policy" / "identity.yaml"
        keys.create(directory / "keys", self.env)
        self.keyring = Keyring(directory / "keys")
        self.keyring.load()
        self.authority: Authority = self.run(
            open_authority(
                self.env,
                self.database,
                self.keyring,
                policy_file=self.policy_file,
                federation_file=directory / "federation.yaml",
            )
        )
        plan = Plan(
            admin_name="admin",
            admin_password=ADMIN_PASSWORD,
            admin_project_name="admin",
            admin_project_id=ADMIN_PROJECT,
            access_key="ROOT" * 5,
            secret_key="root-secret",
            demo_password=DEMO_PASSWORD,
            region="us-east-1",
            identity_url=f"{ADDRESS}/identity",
            object_url="http://cloud.test:8080/v1/AUTH_$(project_id)s",
        )
        self.run(bootstrap(self.authority, plan))
        self.app = make_app(self.authority, ADDRESS)
        self._tokens: dict[str, str] = {}

    def run(self, work: Any) -> Any:
        """Await in the site's loop."""
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        """Let go of the database."""
        self.run(self._end())
        for thread in threading.enumerate():  # SQLite answers from threads, to a loop that is open
            if "_connection_worker_thread" in thread.name:
                thread.join(0.05)
        self.loop.close()

    async def _end(self) -> None:
        await end_all(self.database)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """One request; `path` is below /identity. `token=None` sends none."""
        return self.run(self.acall(method, path, body, token=token, headers=headers, raw=raw))

    async def acall(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """The same, to be awaited."""
        parts = urlsplit(path)
        data = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
        sent = {b"host": b"cloud.test:5000", b"content-type": b"application/json"}
        if token is not None:
            sent[b"x-auth-token"] = token.encode()
        for name, value in (headers or {}).items():
            sent[name.lower().encode()] = value.encode()
        request = Request(method, "/identity" + parts.path, parts.query, sent)
        request.body.length = len(data)
        if data:
            request.body.feed(data)
        request.body.finish()
        return reply_of(await self.app.handle(request))

    def admin(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """A call by the admin, scoped to their project."""
        return self.call(method, path, body, token=self.token("admin"), **options)

    def demo(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """A call by the demo user (member of the project `demo`)."""
        return self.call(method, path, body, token=self.token("demo"), **options)

    def token(self, who: str) -> str:
        """A token of `admin`, `demo`, or of the admin on the whole system (`system`) or domain (`domain`)."""
        if who not in self._tokens:
            password = DEMO_PASSWORD if who == "demo" else ADMIN_PASSWORD
            scope = {
                "admin": {"project": {"id": ADMIN_PROJECT}},
                "system": {"system": {"all": True}},
                "domain": {"domain": {"id": "default"}},
            }.get(who, {"project": {"name": "demo", "domain": {"id": "default"}}})
            name = "demo" if who == "demo" else "admin"
            self._tokens[who] = self.login(name, password, scope).headers["x-subject-token"]
        return self._tokens[who]

    def login(self, name: str, password: str, scope: Any = None, domain: str = "default") -> Reply:
        """POST /v3/auth/tokens with a password."""
        user = {"name": name, "domain": {"id": domain}, "password": password}
        auth: dict[str, Any] = {
            "identity": {"methods": ["password"], "password": {"user": user}},
        }
        if scope is not None:
            auth["scope"] = scope
        return self.call("POST", "/v3/auth/tokens", {"auth": auth})

    def make(self, kind: str, **attributes: Any) -> dict[str, Any]:
        """Create a resource (`project`, `user`, …) as admin and return it."""
        plural = kind[:-1] + "ies" if kind.endswith("y") else kind + "s"
        reply = self.admin("POST", f"/v3/{plural}", {kind: attributes})
        assert reply.status == 201, reply
        made: dict[str, Any] = reply.body[kind]
        return made


def reply_of(response: Response) -> Reply:
    """A response with its JSON decoded."""
    raw = response.body
    assert isinstance(raw, bytes)
    headers = {name.lower(): value for name, value in response.headers}
    kind = headers.get("content-type", "")
    return Reply(response.status, headers, json.loads(raw) if "json" in kind and raw else None, raw)
