"""A whole compute service in the test's own process: real routes, real SQL, hosts without machines, neighbours in memory.

The worker and the hosts' agents run in the site's loop whenever a test waits for something (`settle`).
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from computed import report, servers, wish
from computed.agent.loop import Agent, Orders
from computed.app import make_app, prepare, worker_of
from computed.fake import FakeHypervisor
from computed.outside import ImageInfo, NetworkInfo, PortAsk, PortInfo, VolumeAsk, VolumeInfo
from computed.port import Capacity, HostReport, HostWanted
from computed.rules import RULES
from computed.service import Service
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

ROLES = {
    "admin": ("admin", "manager", "member", "reader"),
    "member": ("member", "reader"),
    "reader": ("reader",),
    "service": ("service", "admin", "member", "reader"),
}
PROJECTS = {"admin": "a" * 32, "demo": "d" * 32, "other": "e" * 32, "service": "f" * 32}
IMAGE = "11111111-0000-4000-8000-000000000001"
NETWORK = "22222222-0000-4000-8000-000000000001"
GIB = 1 << 30


class Killed(BaseException):
    """The process dies here."""


class Steps:
    """Counts what neighbours are asked; at `die_at` the process dies, before or after it is done."""

    def __init__(self) -> None:
        self.count = 0
        self.die_at = -1
        self.after = False
        self.names: list[str] = []

    def step(self, name: str) -> None:
        self.count += 1
        self.names.append(name)
        if self.count == self.die_at:
            raise Killed(name)


def numbered(prefix: str, counter: itertools.count[int]) -> str:
    return f"{prefix * 8}-0000-4000-8000-{next(counter):012}"


class MemoryNetworks:
    """`computed.outside.Networks` over a dictionary."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._ids = itertools.count(1)
        self.held = {NETWORK: NetworkInfo(NETWORK, "private", 1450, subnet_ids=("s1",))}
        self.ports: dict[str, PortInfo] = {}
        self.full = False

    async def networks(
        self, *, token: str, project_id: str, ids: Sequence[str] = ()
    ) -> list[NetworkInfo]:
        return [one for one in self.held.values() if not ids or one.id in ids]

    async def name(self, network_id: str) -> NetworkInfo:
        return self.held[network_id]

    async def group_ids(self, names: Sequence[str], *, token: str, project_id: str) -> list[str]:
        if "missing" in names:
            raise NotFound("NoGroup", "Security group missing not found.")
        return [f"group-{name}" for name in names]

    async def group_names(self, ids: Sequence[str]) -> dict[str, str]:
        return {one: one.removeprefix("group-") for one in ids}

    async def port(self, port_id: str, *, token: str = "") -> PortInfo:
        if port_id not in self.ports:
            raise NotFound("NoPort", port_id)
        return self.ports[port_id]

    async def ports_of(self, server_id: str) -> list[PortInfo]:
        return [one for one in self.ports.values() if one.device_id == server_id]

    def add(self, **columns: Any) -> PortInfo:
        number = len(self.ports) + 1
        values = {
            "id": numbered("3", self._ids),
            "network_id": NETWORK,
            "mac": f"fa:16:3e:00:00:{number:02x}",
            "addresses": (("s1", f"10.0.0.{number + 1}"),),
            **columns,
        }
        port = PortInfo(**values)
        self.ports[port.id] = port
        return port

    async def create_port(self, ask: PortAsk) -> PortInfo:
        self._steps.step("port.create")
        if self.full:
            raise Refused("NoAddress", "No more IP addresses available on network")
        port = self.add(
            network_id=ask.network_id,
            device_id=ask.server_id,
            device_owner=ask.owner,
            project_id=ask.project_id,
            group_ids=ask.group_ids,
        )
        self._steps.step("port.created")
        return port

    async def bind_port(self, port_id: str, ask: PortAsk) -> PortInfo:
        self._steps.step("port.bind")
        bound = msgspec.structs.replace(self.ports[port_id], device_id=ask.server_id)
        self.ports[port_id] = bound
        return bound

    async def free_port(self, port_id: str) -> None:
        self._steps.step("port.free")
        if port_id in self.ports:
            self.ports[port_id] = msgspec.structs.replace(self.ports[port_id], device_id="")

    async def set_groups(self, port_id: str, group_ids: Sequence[str]) -> None:
        self.ports[port_id] = msgspec.structs.replace(
            self.ports[port_id], group_ids=tuple(group_ids)
        )

    async def delete_port(self, port_id: str) -> None:
        self._steps.step("port.delete")
        self.ports.pop(port_id, None)

    async def ask(self, method: str, path: str, body: Any = None, *, token: str) -> tuple[int, Any]:
        return 404, {}


class MemoryVolumes:
    """`computed.outside.Volumes` over a dictionary. A volume is ready when it is looked at a second time."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._ids = itertools.count(1)
        self.held: dict[str, VolumeInfo] = {}
        self.attachments: dict[str, tuple[str, str, str]] = {}  # id: volume, server, status
        self.snapshots: dict[str, tuple[str, str]] = {}
        self.failing = ""

    def add(self, **columns: Any) -> VolumeInfo:
        values = {"id": numbered("4", self._ids), "status": "available", "size_gb": 1, **columns}
        volume = VolumeInfo(**values)
        self.held[volume.id] = volume
        return volume

    def _status(self, volume_id: str, status: str) -> None:
        if volume_id in self.held:
            self.held[volume_id] = msgspec.structs.replace(self.held[volume_id], status=status)

    async def show(self, volume_id: str, *, token: str = "") -> VolumeInfo:
        if volume_id not in self.held:
            raise NotFound("NoVolume", volume_id)
        found = self.held[volume_id]
        if found.status == "creating":
            self._status(volume_id, self.failing or "available")
        return found

    async def snapshot_size_gb(self, snapshot_id: str, *, token: str) -> int:
        return 1

    async def create(self, ask: VolumeAsk) -> VolumeInfo:
        self._steps.step("volume.create")
        held = await self.find(ask.name)
        if held is None:
            held = self.add(
                name=ask.name,
                size_gb=ask.size_gb,
                status="creating",
                bootable=bool(ask.image_id),
                project_id=ask.project_id,
            )
        self._steps.step("volume.created")
        return held

    async def find(self, name: str) -> VolumeInfo | None:
        return next((one for one in self.held.values() if one.name == name), None)

    async def delete(self, volume_id: str) -> None:
        self._steps.step("volume.delete")
        if volume_id not in self.held:
            return
        if any(one[0] == volume_id for one in self.attachments.values()):
            raise Unavailable("InUse", "the volume is attached")
        del self.held[volume_id]

    async def reserve(self, volume_id: str, server_id: str, *, read_only: bool = False) -> str:
        self._steps.step("attachment.create")
        held = await self.attachments_of(volume_id, server_id)
        if held:
            return held[0]
        if self.held[volume_id].status != "available":
            raise Conflict("Taken", f"volume {volume_id} is {self.held[volume_id].status}")
        name = numbered("5", self._ids)
        self.attachments[name] = (volume_id, server_id, "reserved")
        self._status(volume_id, "reserved")
        self._steps.step("attachment.created")
        return name

    async def connect(self, attachment_id: str, host: str, device: str) -> dict[str, Any]:
        self._steps.step("attachment.connect")
        if attachment_id not in self.attachments:
            raise NotFound("NoAttachment", attachment_id)
        return {"export": attachment_id, "unix_socket": "/run/nbd.sock", "host": host}

    async def complete(self, attachment_id: str) -> None:
        self._steps.step("attachment.complete")
        volume_id, server_id, _ = self.attachments[attachment_id]
        self.attachments[attachment_id] = (volume_id, server_id, "attached")
        self._status(volume_id, "in-use")

    async def detach(self, attachment_id: str) -> None:
        self._steps.step("attachment.delete")
        held = self.attachments.pop(attachment_id, None)
        if held is not None and not any(one[0] == held[0] for one in self.attachments.values()):
            self._status(held[0], "available")

    async def attachments_of(self, volume_id: str, server_id: str) -> list[str]:
        return [name for name, one in self.attachments.items() if one[:2] == (volume_id, server_id)]

    async def snapshot(self, volume_id: str, name: str) -> tuple[str, bool]:
        self._steps.step("snapshot.create")
        for snapshot_id, held in self.snapshots.items():
            if held == (volume_id, name):
                return snapshot_id, True
        made = numbered("6", self._ids)
        self.snapshots[made] = (volume_id, name)
        return made, True

    async def delete_snapshot(self, snapshot_id: str) -> None:
        self._steps.step("snapshot.delete")
        self.snapshots.pop(snapshot_id, None)

    async def ask(self, method: str, path: str, body: Any = None, *, token: str) -> tuple[int, Any]:
        return 404, {}


class MemoryImages:
    """`computed.outside.Images` over a dictionary."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._ids = itertools.count(1)
        self.held = {IMAGE: ImageInfo(IMAGE, "active", "tiny", size=GIB, min_disk=1)}

    async def show(self, image_id: str, *, token: str) -> ImageInfo:
        if image_id not in self.held:
            raise NotFound("NoImage", image_id)
        return self.held[image_id]

    async def create(self, attributes: Mapping[str, Any], *, token: str) -> ImageInfo:
        made = ImageInfo(numbered("7", self._ids), "queued", str(attributes["name"]))
        self.held[made.id] = made
        return made

    async def fill(self, image_id: str, volume_id: str, snapshot_id: str) -> None:
        self._steps.step("image.fill")
        if image_id not in self.held:
            raise NotFound("NoImage", image_id)
        self.held[image_id] = msgspec.structs.replace(self.held[image_id], status="active")

    async def backups_of(self, server_id: str, kind: str) -> list[str]:
        return []

    async def put_empty(self, image_id: str) -> None:
        return

    async def active(self, image_id: str) -> bool:
        return (await self.show(image_id, token="")).status == "active"

    async def delete(self, image_id: str) -> None:
        self._steps.step("image.delete")
        self.held.pop(image_id, None)

    async def patch(self, image_id: str, changes: Sequence[Any], *, token: str) -> None:
        return

    async def ask(self, method: str, path: str, body: Any = None, *, token: str) -> tuple[int, Any]:
        return 404, {}


class FakeDaemons:
    """`computed.outside.Daemons` over the hosts of a site."""

    def __init__(self, site: ComputeSite) -> None:
        self._site = site

    async def log(self, address: str, server_id: str) -> bytes:
        return await self._site.fakes[address].console_log(server_id)

    async def diagnostics(self, address: str, server_id: str) -> dict[str, Any]:
        return await self._site.fakes[address].diagnostics(server_id)


class LocalApi:
    """The Compute API as an agent of this process speaks to it."""

    def __init__(self, service: Service, host: str) -> None:
        self._service = service
        self._host = host
        self.down = False

    async def wanted(self, seen: str, wait_s: float) -> HostWanted:
        while True:
            mark = self._service.wanted.mark
            async with self._service.database.read() as db:
                found = await wish.of_host(db, self._host)
            if found.version != seen:
                return found
            await self._service.wanted.wait(wait_s, mark)

    async def report(self, told: HostReport) -> None:
        if self.down:
            raise Unavailable("Down", "cut off")
        async with self._service.database.write() as db:
            await report.hear(db, self._service, self._host, told)
        self._service.reported.wake()


class ComputeSite:
    """The API behind one method, `call`."""

    def __init__(self, directory: Path, url: str = "", *, hosts: int = 2) -> None:
        self.loop = asyncio.new_event_loop()
        self.env = MovableEnv()
        self.directory = directory
        self.database = Database(url or f"sqlite+aiosqlite:///{directory}/cloud.db")
        keys.create(directory / "keys", self.env)
        self.keyring = Keyring(directory / "keys")
        self.keyring.load()
        self.steps = Steps()
        self.networks = MemoryNetworks(self.steps)
        self.volumes = MemoryVolumes(self.steps)
        self.images = MemoryImages(self.steps)
        self.fakes: dict[str, FakeHypervisor] = {}
        self.apis: dict[str, LocalApi] = {}
        self.agents: dict[str, Agent] = {}
        self.policy_file = directory / "policy" / "compute.yaml"
        self.service = Service(
            self.env,
            self.database,
            Policy(RULES, self.policy_file),
            self.networks,
            self.volumes,
            self.images,
            FakeDaemons(self),
            "node1",
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
        self._tokens: dict[str, str] = {}
        self._tasks: list[asyncio.Task[Any]] = []
        for number in range(hosts):
            self.add_host(f"host{number + 1}")
        for name, ram, disk in (("1", 512, 1), ("2", 1024, 2)):
            sizes = {"name": f"f{name}", "id": name, "ram": ram, "vcpus": 1, "disk": disk}
            self.admin("POST", "/flavors", {"flavor": sizes})

    def add_host(self, name: str, **sizes: Any) -> FakeHypervisor:
        """A host that reports at once and lives in the site's loop."""
        values = {"vcpus": 4, "memory_mb": 4096, "disk_gb": 100, **sizes}
        capacity = Capacity(**values, hypervisor_type="QEMU", hypervisor_version=7, hostname=name)
        fake = FakeHypervisor(self.env, capacity)
        api = LocalApi(self.service, name)
        agent = Agent(name, fake, api, Orders(self.directory / f"{name}.json"), console=name)
        self.fakes[name], self.apis[name], self.agents[name] = fake, api, agent
        self.run(agent.act())
        return fake

    def run(self, work: Any) -> Any:
        """Await in the site's loop."""
        return self.loop.run_until_complete(work)

    def report(self, name: str) -> None:
        """A host looks and tells, news or not."""
        self.agents[name]._told = None
        self.run(self.agents[name].act())

    def settle(self, timeout_s: float = 20) -> None:
        """Let worker and hosts run until no work is left."""
        self.run(self._settle(timeout_s))

    async def _settle(self, timeout_s: float) -> None:
        tasks = [asyncio.create_task(self.worker.run_for_ever())]
        tasks += [
            asyncio.create_task(agent.run_for_ever())
            for name, agent in self.agents.items()
            if not self.apis[name].down
        ]
        self.service.wake()
        try:
            async with asyncio.timeout(timeout_s):
                while await self._pending():
                    done, _ = await asyncio.wait(tasks, timeout=0.01)
                    for task in done:
                        task.result()
        finally:
            await self._stop(tasks)

    def die_at(self, step: int) -> bool:
        """Run until a neighbour is asked for the `step`-th time from now, and die there; whether that was reached.

        The process that comes after has the same node, and nothing of the one before but what SQL and neighbours hold.
        """
        self.steps.count, self.steps.die_at = 0, step
        try:
            self.run(self._until_dead())
            died = self.steps.count >= step
        finally:
            self.steps.die_at = -1
        self.worker = worker_of(self.service)
        return died

    async def _until_dead(self) -> None:
        tasks = [asyncio.create_task(self.worker.run_for_ever())]
        tasks += [asyncio.create_task(agent.run_for_ever()) for agent in self.agents.values()]
        self.service.wake()
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # the dead tell nobody
        try:
            async with asyncio.timeout(20):
                while self.steps.count < self.steps.die_at and await self._pending():
                    await asyncio.sleep(0.005)
        finally:
            await self._stop(tasks)

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        """Cancel them while none of them is in the middle of a transaction, which would outlive it in this process."""
        async with self.database._writing:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pending(self) -> int:
        async with self.database.read() as db:
            return await servers.BOOK.pending(db)

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
        """`admin`, `demo` (a member), `demo:reader`, `other`, `service`, …: project and, after a colon, persona."""
        if who not in self._tokens:
            project, _, persona = who.partition(":")
            persona = persona or (project if project in {"admin", "service"} else "member")
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
        version: str | None = "2.96",
        raw: bytes | None = None,
        prefix: str = "/compute/v2.1",
    ) -> Reply:
        """One request; `path` is below the prefix. `who=None` sends no token."""
        parts = urlsplit(path)
        data = raw if raw is not None else (b"" if body is None else json.dumps(body).encode())
        sent = {b"host": b"cloud.test:5000", b"content-type": b"application/json"}
        if who is not None:
            sent[b"x-auth-token"] = self.token(who).encode()
        if version is not None:
            sent[b"openstack-api-version"] = f"compute {version}".encode()
        request = Request(method, prefix + parts.path, parts.query, sent)
        request.body.length = len(data)
        if data:
            request.body.feed(data)
        request.body.finish()
        return reply_of(self.run(self.app.handle(request)))

    def admin(self, method: str, path: str, body: Any = None, **options: Any) -> Reply:
        """A call by an administrator."""
        return self.call(method, path, body, who="admin", **options)

    def begin(self, *, who: str = "demo", **attributes: Any) -> str:
        """Ask for a server; its id."""
        asked = {
            "name": "one",
            "flavorRef": "1",
            "imageRef": IMAGE,
            "networks": [{"uuid": NETWORK}],
            **attributes,
        }
        hints = asked.pop("hints", None)
        body = {"server": {key: value for key, value in asked.items() if value is not None}}
        if hints:
            body["os:scheduler_hints"] = hints
        reply = self.call("POST", "/servers", body, who=who)
        assert reply.status == 202, reply
        return str(reply.body["server"]["id"])

    def boot(self, **attributes: Any) -> dict[str, Any]:
        """A server that runs (or could not be built)."""
        name = self.begin(**attributes)
        self.settle()
        return self.show(name)

    def show(self, name: str) -> dict[str, Any]:
        """A server as an administrator sees it."""
        reply = self.admin("GET", f"/servers/{name}")
        assert reply.status == 200, reply
        found: dict[str, Any] = reply.body["server"]
        return found

    def act(self, name: str, action: str, body: Any = None, **options: Any) -> Reply:
        """An action, and all that follows from it."""
        reply = self.call("POST", f"/servers/{name}/action", {action: body}, **options)
        self.settle()
        return reply

    def status(self, name: str) -> str:
        """Status of a server, or `gone`."""
        reply = self.admin("GET", f"/servers/{name}")
        return "gone" if reply.status == 404 else str(reply.body["server"]["status"])
