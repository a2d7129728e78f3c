"""A whole Networking service in the test's own process: real routes, real SQL, hosts that report what a test says."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from core import keyring as keys
from core.api.fault import unauthorized
from core.authenticator import Authenticator
from core.bearer import audit_text, seal
from core.database import Database
from core.errors import Refused
from core.http import Request
from core.identity import Identity
from core.keyring import Keyring
from core.policy import Policy
from core.revocation import RevocationList
from networkd.app import make_app, prepare
from networkd.port import HostState
from networkd.rules import RULES
from networkd.service import Service
from tests.ending import end_all
from tests.identity_site import MovableEnv, Reply, reply_of

ROLES = {
    "admin": ("admin", "manager", "member", "reader"),
    "member": ("member", "reader"),
    "reader": ("reader",),
    "service": ("service", "reader"),
}
PROJECTS = {"admin": "a" * 32, "demo": "d" * 32, "other": "e" * 32, "cloud": "c" * 32}
PATHS = {
    "security_group": "security-groups",
    "security_group_rule": "security-group-rules",
    "address_group": "address-groups",
}
Item = dict[str, Any]


class NetworkSite:
    """The API behind one method, `call`."""

    def __init__(self, directory: Path, url: str = "", *, started_s: float = -3600.0) -> None:
        self.loop = asyncio.new_event_loop()
        self.env = MovableEnv()
        self.database = Database(url or f"sqlite+aiosqlite:///{directory}/cloud.db")
        keys.create(directory / "keys", self.env)
        self.keyring = Keyring(directory / "keys")
        self.keyring.load()
        self.policy_file = directory / "policy" / "network.yaml"
        started_us = self.env.wall_us() + int(started_s * 1e6)
        policy = Policy(RULES, self.policy_file)
        self.service = Service(self.env, self.database, policy, started_us=started_us)
        self.run(prepare(self.service))
        verifier = Authenticator(self.env, self.keyring, RevocationList())

        async def authenticate(request: Request) -> Identity | None:
            token = request.header("x-auth-token")
            try:
                return None if token is None else verifier.verify(token)
            except Refused:
                raise unauthorized() from None

        self.app = make_app(self.service, authenticate, "http://cloud.test:5000")
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

    def token(self, who: str) -> str:
        """`admin`, `demo` (a member), `demo:reader`, `other`, `cloud:service`: project and, after a colon, persona."""
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

    async def acall(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: str | None = "demo",
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        """One request; `path` is below /network/v2.0 (below /network when it begins with two slashes)."""
        parts = urlsplit(path[1:] if path.startswith("//") else f"/v2.0{path}")
        data = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
        sent = {b"host": b"cloud.test:5000", b"content-type": b"application/json"}
        if who is not None:
            sent[b"x-auth-token"] = self.token(who).encode()
        for name, value in (headers or {}).items():
            sent[name.lower().encode()] = value.encode()
        request = Request(method, f"/network{parts.path}", parts.query, sent)
        request.body.length = len(data)
        if data:
            request.body.feed(data)
        request.body.finish()
        return reply_of(await self.app.handle(request))

    def call(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """The same, waited for."""
        reply: Reply = self.run(self.acall(method, path, body, **options))
        return reply

    def admin(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """A call by an administrator."""
        return self.call(method, path, body, who="admin", **options)

    def make(self, kind: str, *, who: str = "demo", **attributes: Any) -> Item:
        """Create something and return it."""
        path = PATHS.get(kind, f"{kind}s")
        reply = self.call("POST", f"/{path}", {kind: attributes}, who=who)
        assert reply.status == 201, reply
        made: Item = reply.body[kind]
        return made

    def show(self, kind: str, name: str, *, who: str = "admin") -> Item:
        """Something as it is now."""
        reply = self.call("GET", f"/{PATHS.get(kind, f'{kind}s')}/{name}", who=who)
        assert reply.status == 200, reply
        found: Item = reply.body[kind]
        return found

    def list(self, kind: str, query: str = "", *, who: str = "demo") -> list[Item]:
        """A list, by a query."""
        path = PATHS.get(kind, f"{kind}s")
        reply = self.call("GET", f"/{path}?{query}", who=who)
        assert reply.status == 200, reply
        found: list[Item] = reply.body[path.replace("-", "_")]
        return found

    def update(self, kind: str, item_id: str, /, *, who: str = "demo", **attributes: Any) -> Reply:
        """Change something."""
        path = PATHS.get(kind, f"{kind}s")
        return self.call("PUT", f"/{path}/{item_id}", {kind: attributes}, who=who)

    def network(
        self, cidr: str = "10.0.0.0/24", *, who: str = "demo", **subnet: Any
    ) -> tuple[Item, Item]:
        """A network with one subnet."""
        made = self.make("network", who=who, name="net")
        version = 6 if ":" in cidr else 4
        inner = self.make(
            "subnet", who=who, network_id=made["id"], cidr=cidr, ip_version=version, **subnet
        )
        return made, inner

    def outside(self, cidr: str = "172.24.4.0/24", name: str = "public") -> Item:
        """An external network with a subnet."""
        made = self.make(
            "network",
            who="admin",
            name=name,
            **{
                "router:external": True,
                "provider:network_type": "flat",
                "provider:physical_network": name,
            },
        )
        self.make(
            "subnet",
            who="admin",
            network_id=made["id"],
            cidr=cidr,
            ip_version=4,
            enable_dhcp=False,
        )
        return made

    def router(self, *subnets: Item, outside: Item | None = None, who: str = "demo") -> Item:
        """A router with legs and perhaps a gateway."""
        info = {} if outside is None else {"external_gateway_info": {"network_id": outside["id"]}}
        made = self.make("router", who=who, name="router", **info)
        for subnet in subnets:
            reply = self.leg(made, subnet, who=who)
            assert reply.status == 200, reply
        return made

    def leg(self, router: Item, subnet: Item, *, who: str = "demo") -> Reply:
        """Add an interface to a router."""
        path = f"/routers/{router['id']}/add_router_interface"
        return self.call("PUT", path, {"subnet_id": subnet["id"]}, who=who)

    # hosts

    def state(self, host: str) -> HostState:
        """What a host is told."""
        reply = self.call("GET", f"//host/{host}", who="cloud:service")
        assert reply.status == 200, reply
        return msgspec.json.decode(reply.raw, type=HostState)

    def report(self, host: str, **told: Any) -> None:
        """A host reports; everything that it was told is done unless the test says otherwise."""
        if "version" not in told:
            state = self.state(host)
            told = {
                "version": state.version,
                "ports": [p.id for n in state.networks for p in n.ports if p.host == host],
                "routers": [router.id for router in state.routers],
                **told,
            }
        told.setdefault("tunnel_address", f"192.0.2.{len(host)}")
        reply = self.call("POST", f"//host/{host}", told, who="cloud:service")
        assert reply.status == 204, reply

    def host(self, name: str = "node1") -> str:
        """A host that has just been heard of."""
        self.report(name, version="", physical={"public": "br"})
        return name
