"""What administrators see of the service itself: services, hosts, pools, capabilities, clusters; and the zones.

There is one backend, the object store, with one pool, in one zone.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from blockd import snapshots, volume_types, volumes
from blockd.api.paths import both
from blockd.api.shape import nothing
from blockd.fault import absent
from blockd.listing import truth as asked
from blockd.service import BACKEND, ZONE, Service
from blockd.tables import service as service_tables
from blockd.times import instant
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request
from core.api.route import OWN, Route
from core.api.shape import Shape, nullable, text
from core.database import Connection
from core.rows import Row

TABLE = service_tables.service
SHORT = nullable(text(0, 255))
TARGET = Shape(
    {"host": SHORT, "cluster": SHORT, "binary": SHORT, "service": SHORT, "disabled_reason": SHORT}
)
RULE = "volume_extension:services"
# Bytes are the object store's to count; a pool without a bound says so, as Cinder's pools do.
VERSION = "1.0"


def binaries(service: Service) -> list[tuple[str, str]]:
    """What runs: everything is one process, told apart as clients expect it."""
    return [
        ("cinder-backup", service.node),
        ("cinder-scheduler", service.node),
        ("cinder-volume", service.host),
    ]


class Services:
    """`/os-services`."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/os-services"
        update = f"{RULE}:update"
        changes = [
            Route("PUT", f"{top}/{verb}", update, handler, 200, TARGET)
            for verb, handler in (
                ("enable", self.enable),
                ("disable", self.disable),
                ("disable-log-reason", self.disable_with_reason),
            )
        ]
        return both(
            [
                Route("GET", top, f"{RULE}:index", self.list),
                *changes,
                Route("PUT", f"{top}/freeze", "volume:freeze_host", self.freeze, 200, TARGET),
                Route("PUT", f"{top}/thaw", "volume:thaw_host", self.thaw, 200, TARGET),
                Route(
                    "PUT", f"{top}/failover_host", "volume:failover_host", self.fail, 202, TARGET
                ),
                Route("PUT", f"{top}/failover", "volume:failover_host", self.fail, 202, TARGET),
                Route("PUT", f"{top}/get-log", update, self.log_levels, 200, nothing),
                Route("PUT", f"{top}/set-log", update, self.set_log, 202, nothing),
            ]
        )

    async def _held(self, db: Connection, host: str, binary: str) -> Row | None:
        same = (TABLE.c.host == host, TABLE.c.binary == binary)
        return await rows.first(db, sa.select(TABLE).where(*same))

    async def list(self, call: Call) -> dict[str, Any]:
        """All services."""
        call.allow()
        wanted_host, wanted = call.query.get("host"), call.query.get("binary")
        found = []
        async with self._database.read() as db:
            for binary, host in binaries(self._service):
                if wanted not in {None, binary} or wanted_host not in {
                    None,
                    host,
                    host.partition("@")[0],
                }:
                    continue
                held = await self._held(db, host, binary)
                found.append(self._shown(call, binary, host, held or {}))
        return {"services": found}

    def _shown(self, call: Call, binary: str, host: str, held: Row) -> dict[str, Any]:
        body: dict[str, Any] = {
            "binary": binary,
            "host": host,
            "zone": ZONE,
            "status": "disabled" if held.get("disabled") else "enabled",
            "state": "up",
            "updated_at": instant(self._service.now_us()),
            "disabled_reason": held.get("reason"),
        }
        if binary == "cinder-volume":
            body["replication_status"] = "disabled"
            body["active_backend_id"] = None
            body["frozen"] = bool(held.get("frozen"))
        if call.microversion >= (3, 7):
            body["cluster"] = None
        if call.microversion >= (3, 49) and binary == "cinder-volume":
            body["backend_state"] = "up"
        return body

    def _named(self, call: Call) -> tuple[str, str]:
        """Host and binary of a body. Raises Fault 400, 404."""
        binary = call.body.get("binary") or call.body.get("service")
        host = call.body.get("host")
        if not host:
            raise bad_request("Missing required element 'host' in request body.")
        if not binary:
            raise bad_request("Missing required element 'binary' in request body.")
        if (binary, host) not in binaries(self._service):
            raise absent("Service", f"{binary[:80]} on host {host[:80]}")
        return host, binary

    async def _set(self, host: str, binary: str, **changes: Any) -> None:
        async with self._database.write() as db:
            held = await self._held(db, host, binary)
            row = {
                "host": host,
                "binary": binary,
                "disabled": False,
                "frozen": False,
                "reason": None,
                **(held or {}),
                **changes,
                "updated_us": self._service.now_us(),
            }
            await rows.delete(db, TABLE, TABLE.c.host == host, TABLE.c.binary == binary)
            await rows.insert(db, TABLE, row)

    async def _switch(self, call: Call, *, disabled: bool, reason: str | None) -> dict[str, Any]:
        call.allow()
        host, binary = self._named(call)
        await self._set(host, binary, disabled=disabled, reason=reason)
        body = {
            "host": host,
            "binary": binary,
            "service": binary,
            "disabled": disabled,
            "status": "disabled" if disabled else "enabled",
        }
        if not disabled or reason is not None:
            body["disabled_reason"] = reason
        return body

    async def enable(self, call: Call) -> dict[str, Any]:
        """Enable one."""
        return await self._switch(call, disabled=False, reason=None)

    async def disable(self, call: Call) -> dict[str, Any]:
        """Disable one."""
        return await self._switch(call, disabled=True, reason=None)

    async def disable_with_reason(self, call: Call) -> dict[str, Any]:
        """Disable one and say why."""
        reason = (call.body.get("disabled_reason") or "").strip()
        if not reason:
            raise bad_request("Missing required element 'disabled_reason' in request body.")
        return await self._switch(call, disabled=True, reason=reason)

    async def _freeze(self, call: Call, *, frozen: bool) -> Answer:
        call.allow()
        host = call.body.get("host") or ""
        if host != self._service.host:
            raise bad_request(f"Host {host[:80]} could not be found.")
        await self._set(host, "cinder-volume", frozen=frozen)
        return Answer(None, 200)

    async def freeze(self, call: Call) -> Answer:
        """No changes by tenants."""
        return await self._freeze(call, frozen=True)

    async def thaw(self, call: Call) -> Answer:
        """Changes again."""
        return await self._freeze(call, frozen=False)

    async def fail(self, call: Call) -> None:
        """There is nothing to fail over to: every copy is active."""
        call.allow()
        raise Fault(501, "Volumes are replicated by the object store; there is no failover.")

    async def log_levels(self, call: Call) -> dict[str, Any]:
        """Levels are not changed while running."""
        call.allow()
        return {"log_levels": []}

    async def set_log(self, call: Call) -> None:
        """The same."""
        call.allow()
        raise Fault(501, "Log levels are not changed while running.")


class Hosts:
    """`/os-hosts`: what the one host holds, by project."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        rule = "volume_extension:hosts"
        return both(
            [
                Route("GET", "/os-hosts", rule, self.list),
                Route("GET", "/os-hosts/{host_name}", rule, self.show),
            ]
        )

    async def list(self, call: Call) -> dict[str, Any]:
        """All hosts."""
        call.allow()
        now = instant(self._service.now_us())
        return {
            "hosts": [
                {
                    "host_name": host,
                    "service": binary,
                    "service-status": "available",
                    "service-state": "enabled",
                    "zone": ZONE,
                    "last-update": now,
                }
                for binary, host in binaries(self._service)
            ]
        }

    async def show(self, call: Call) -> dict[str, Any]:
        """Totals, and those of each project."""
        call.allow()
        host = call.variables["host_name"]
        if host not in {name for _, name in binaries(self._service)}:
            raise absent("Host", host[:80])
        totals: dict[str, list[int]] = {}
        async with self._database.read() as db:
            for at, table in ((0, volumes.TABLE), (2, snapshots.TABLE)):
                columns = (table.c.project_id, sa.func.count(), sa.func.sum(table.c.size))
                statement = sa.select(*columns).group_by(table.c.project_id)
                for project_id, count, size in (await db.execute(statement)).all():
                    figures = totals.setdefault(project_id, [0, 0, 0, 0])
                    figures[at], figures[at + 1] = int(count), int(size or 0)
        everything = [sum(figures) for figures in zip(*totals.values(), strict=True)] or [0] * 4
        lines = [("(total)", everything), *sorted(totals.items())]
        return {"host": [{"resource": resource(host, name, figures)} for name, figures in lines]}


def resource(host: str, project: str, figures: list[int]) -> dict[str, str]:
    """One line of a host's report."""
    names = ("volume_count", "total_volume_gb", "snapshot_count", "total_snapshot_gb")
    return {
        "host": host,
        "project": project,
        **{name: str(figure) for name, figure in zip(names, figures, strict=True)},
    }


class Pools:
    """`/scheduler-stats/get_pools`, `/capabilities/{host}`, `/os-availability-zone`, `/clusters`, `/workers/cleanup`."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def routes(self) -> list[Route]:
        """What is served."""
        pools = "scheduler_extension:scheduler_stats:get_pools"
        clusters = "clusters"
        return both(
            [
                Route("GET", "/scheduler-stats/get_pools", pools, self.pools),
                Route(
                    "GET",
                    "/capabilities/{host_name}",
                    "volume_extension:capabilities",
                    self.capabilities,
                ),
                Route("GET", "/os-availability-zone", OWN, self.zones),
                Route("GET", "/clusters", f"{clusters}:get_all", self.clusters, since=(3, 7)),
                Route(
                    "GET", "/clusters/detail", f"{clusters}:get_all", self.clusters, since=(3, 7)
                ),
                Route("GET", "/clusters/{name}", f"{clusters}:get", self.cluster, since=(3, 7)),
                Route(
                    "POST",
                    "/workers/cleanup",
                    "workers:cleanup",
                    self.cleanup,
                    202,
                    nothing,
                    since=(3, 24),
                ),
            ]
        )

    async def pools(self, call: Call) -> dict[str, Any]:
        """The one pool."""
        call.allow()
        name = call.query.get("name") if call.microversion >= (3, 28) else None
        if name not in {None, self._service.pool}:
            return {"pools": []}
        detail = asked(call.query.get("detail") or "false", "detail")
        body: dict[str, Any] = {"name": self._service.pool}
        if detail:
            body["capabilities"] = {
                **volume_types.CAPABILITIES,
                "driver_version": VERSION,
                "total_capacity_gb": "unknown",
                "free_capacity_gb": "unknown",
                "reserved_percentage": 0,
                "QoS_support": True,
                "multiattach": True,
                "thin_provisioning_support": True,
                "thick_provisioning_support": False,
                "timestamp": instant(self._service.now_us()),
            }
        return {"pools": [body]}

    async def capabilities(self, call: Call) -> dict[str, Any]:
        """What extra specs of a type may say."""
        call.allow()
        host = call.variables["host_name"]
        if host not in {self._service.host, self._service.pool}:
            raise absent("Service", f"cinder-volume on host {host[:80]}")
        return {
            "namespace": f"OS::Storage::Capabilities::{self._service.host}",
            "vendor_name": volume_types.VENDOR,
            "volume_backend_name": BACKEND,
            "pool_name": BACKEND,
            "driver_version": VERSION,
            "storage_protocol": volume_types.PROTOCOL,
            "display_name": "Volumes on the ring",
            "description": "Log-structured volumes in the object store",
            "visibility": "public",
            "replication_targets": [],
            "properties": {
                name: {"title": title, "description": description, "type": kind}
                for name, title, description, kind in PROPERTIES
            },
        }

    async def zones(self, call: Call) -> dict[str, Any]:
        """The one zone."""
        del call
        return {"availabilityZoneInfo": [{"zoneName": ZONE, "zoneState": {"available": True}}]}

    async def clusters(self, call: Call) -> dict[str, Any]:
        """None: there is nothing to fail over."""
        call.allow()
        return {"clusters": []}

    async def cluster(self, call: Call) -> None:
        """The same."""
        call.allow()
        raise absent("Cluster", call.variables["name"][:80])

    async def cleanup(self, call: Call) -> dict[str, Any]:
        """Work that a dead process left is taken over by itself."""
        call.allow()
        return {"cleaning": [], "unavailable": []}


PROPERTIES = (
    ("multiattach", "Multi-attach", "Several attachments may write at once: '<is> True'", "string"),
    (
        "ringstack:policy",
        "Storage policy",
        "The policy of the object store that data is kept under",
        "string",
    ),
    (
        "ringstack:retention_s",
        "Time travel",
        "How many seconds back a volume can be looked at",
        "integer",
    ),
    ("encryption", "Encryption", "Encryption types are enforced by the backend", "boolean"),
)
