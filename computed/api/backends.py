"""Hosts as administrators see them: services, hypervisors, the old host calls, availability zones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from computed import hosts, listing, schedule, servers
from computed.api.paths import both
from computed.api.shape import flag, truth
from computed.fault import not_built
from computed.service import ZONE, Service
from computed.times import precise
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, choice, text
from core.database import Connection
from core.errors import NotFound
from core.rows import Row

API = "os_compute_api:"
BINARY = "nova-compute"
CONTROL = ("nova-scheduler", "nova-conductor")
REASON = text(1, 255, pattern=r"\S([\s\S]*\S)?")
TOTALS = (
    "current_workload",
    "disk_available_least",
    "free_disk_gb",
    "free_ram_mb",
    "local_gb",
    "local_gb_used",
    "memory_mb",
    "memory_mb_used",
    "running_vms",
    "vcpus",
    "vcpus_used",
)
UPDATE = Shape(
    {
        "host": text(1, 255),
        "binary": text(1, 255),
        "disabled_reason": REASON,
        "forced_down": flag,
        "status": choice("enabled", "disabled"),
    }
)


async def found_or_404(db: Connection, name: str) -> Row:
    """A host by name. Raises Fault 404."""
    try:
        return await hosts.get(db, name)
    except NotFound as error:
        raise Fault(404, error.message) from None


class Services:
    """Daemons that servers need: one on each host, and those of this process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single, rule = "/os-services", "/os-services/{service_id}", f"{API}os-services"
        old = [
            Route("PUT", f"{top}/{verb}", f"{rule}:update", self.old_update, 200, UPDATE)
            for verb in ("enable", "disable", "disable-log-reason", "force-down")
        ]
        return both(
            [
                Route("GET", top, f"{rule}:list", self.list),
                Route("PUT", single, f"{rule}:update", self.update, 200, UPDATE, since=(2, 53)),
                Route("DELETE", single, f"{rule}:delete", self.delete, 204),
            ]
        ) + both(old, until=(2, 52))

    def _shown(self, call: Call, row: Row, zone: str) -> dict[str, Any]:
        version = call.microversion
        new = version >= (2, 53)
        body: dict[str, Any] = {
            "binary": row["binary"],
            "disabled_reason": row["disabled_reason"],
            "host": row["name"],
            "id": row["service_id"] if new else row["number"],
            "state": row["state"],
            "status": "disabled" if row["disabled"] else "enabled",
            "updated_at": precise(row["seen_us"]),
            "zone": zone,
        }
        if version >= (2, 11):
            body["forced_down"] = row["forced_down"]
        return body

    def _control(self) -> list[Row]:
        """The parts that live in this process, and so are up whenever anybody asks."""
        found = []
        for number, binary in enumerate(CONTROL):
            found.append(
                {
                    "binary": binary,
                    "disabled_reason": None,
                    "name": self._service.node,
                    "service_id": f"00000000-0000-4000-8000-00000000000{number + 1}",
                    "number": 1_000_000 + number,
                    "state": "up",
                    "disabled": False,
                    "seen_us": self._service.now_us(),
                    "forced_down": False,
                }
            )
        return found

    def _compute(self, row: Row) -> Row:
        state = "up" if hosts.alive(self._service, row) else "down"
        return {**row, "binary": BINARY, "state": state}

    async def list(self, call: Call) -> dict[str, Any]:
        """All, or those of a host or a binary."""
        call.allow()
        async with self._database.read() as db:
            aggregates = await hosts.aggregates(db)
            held = [self._compute(row) for row in await hosts.everyone(db)]
        found = [(row, "internal") for row in self._control()]
        found += [(row, hosts.zone_of(aggregates, row["name"])) for row in held]
        for name, column in (("host", "name"), ("binary", "binary")):
            wanted = call.query.get(name)
            if wanted is not None:
                found = [one for one in found if one[0][column] == wanted]
        return {"services": [self._shown(call, row, zone) for row, zone in found]}

    async def _changed(self, db: Connection, row: Row, columns: Row) -> Row:
        columns["updated_us"] = self._service.now_us()
        await rows.update(db, hosts.TABLE, row["id"], columns)
        return {**row, **columns}

    async def update(self, call: Call) -> dict[str, Any]:
        """Enable or disable a host, or say that it is down."""
        call.allow()
        given, table = call.body, hosts.TABLE
        unknown = set(given) - {"status", "disabled_reason", "forced_down"}
        if unknown:
            raise bad_request(
                f"Additional properties are not allowed ('{min(unknown)[:80]}' was unexpected)"
            )
        if not {"status", "forced_down"} & given.keys():
            raise bad_request(
                "No updates were requested. Fields 'status' or 'forced_down' should be specified."
            )
        if "disabled_reason" in given and given.get("status") != "disabled":
            raise bad_request("Specifying 'disabled_reason' when status is 'enabled' is invalid.")
        async with self._database.write() as db:
            same = table.c.service_id == call.variables["service_id"]
            row = await rows.first(db, sa.select(table).where(same))
            if row is None:
                raise Fault(404, f"Service {call.variables['service_id'][:80]} could not be found.")
            columns: Row = {}
            if "status" in given:
                columns["disabled"] = given["status"] == "disabled"
                columns["disabled_reason"] = given.get("disabled_reason")
            if "forced_down" in given:
                columns["forced_down"] = truth(given["forced_down"])
            row = await self._changed(db, row, columns)
            zone = hosts.zone_of(await hosts.aggregates(db), row["name"])
        return {"service": self._shown(call, self._compute(row), zone)}

    async def old_update(self, call: Call) -> dict[str, Any]:
        """The same by name, as it was until 2.52."""
        call.allow()
        given = call.body
        verb = call.request.path.rpartition("/")[2]
        for name in ("host", "binary"):
            if name not in given:
                raise bad_request(f"'{name}' is a required property")
        columns: Row = {"disabled": verb != "enable", "disabled_reason": None}
        if verb == "disable-log-reason":
            if "disabled_reason" not in given:
                raise bad_request("'disabled_reason' is a required property")
            columns["disabled_reason"] = given["disabled_reason"]
        if verb == "force-down":
            if call.microversion < (2, 11) or "forced_down" not in given:
                raise Fault(404, "The resource could not be found.")
            columns = {"forced_down": truth(given["forced_down"])}
        async with self._database.write() as db:
            if given["binary"] != BINARY:
                raise Fault(
                    404,
                    f"Host '{given['host']}' with service '{given['binary']}' could not be found.",
                )
            row = await self._changed(db, await found_or_404(db, given["host"]), columns)
        body = {"host": row["name"], "binary": BINARY}
        if verb == "force-down":
            return {"service": {**body, "forced_down": row["forced_down"]}}
        body["status"] = "disabled" if row["disabled"] else "enabled"
        if verb == "disable-log-reason":
            body["disabled_reason"] = row["disabled_reason"]
        return {"service": body}

    async def delete(self, call: Call) -> None:
        """Forget a host that is gone and has no server."""
        call.allow()
        wanted, table = call.variables["service_id"], hosts.TABLE
        async with self._database.write() as db:
            for row in await hosts.everyone(db):
                if wanted in {row["service_id"], str(row["number"])}:
                    break
            else:
                raise Fault(404, f"Service {wanted[:80]} could not be found.")
            if await servers.of_host(db, row["name"]):
                raise Fault(409, "Unable to delete compute service that is hosting instances.")
            await rows.delete(db, table, table.c.id == row["id"])
            await hosts.forget(db, row)


class Hypervisors:
    """What hosts run guests with."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, rule = "/os-hypervisors", f"{API}os-hypervisors"
        single = f"{top}/{{hypervisor_id}}"
        return [
            *both(
                [
                    Route("GET", top, f"{rule}:list", self.list),
                    Route("GET", f"{top}/detail", f"{rule}:list-detail", self.detail),
                    Route("GET", single, f"{rule}:show", self.show),
                ]
            ),
            *both(
                [
                    Route("GET", f"{top}/statistics", f"{rule}:statistics", self.statistics),
                    Route("GET", f"{single}/uptime", f"{rule}:uptime", self.uptime),
                ],
                until=(2, 87),
            ),
            *both(
                [
                    Route("GET", f"{single}/search", f"{rule}:search", self.search),
                    Route("GET", f"{single}/servers", f"{rule}:servers", self.servers),
                ],
                until=(2, 52),
            ),
        ]

    def _brief(self, call: Call, row: Row) -> dict[str, Any]:
        return {
            "id": row["id"] if call.microversion >= (2, 53) else row["number"],
            "hypervisor_hostname": row["name"],
            "state": "up" if hosts.alive(self._service, row) else "down",
            "status": "disabled" if row["disabled"] else "enabled",
        }

    async def _full(self, db: Connection, call: Call, row: Row) -> dict[str, Any]:
        version, capacity = call.microversion, row["capacity"]
        body: dict[str, Any] = {
            **self._brief(call, row),
            "host_ip": capacity.get("host_ip") or "127.0.0.1",
            "hypervisor_type": capacity["hypervisor_type"],
            "hypervisor_version": capacity["hypervisor_version"],
            "service": {
                "id": row["service_id"] if version >= (2, 53) else row["number"],
                "host": row["name"],
                "disabled_reason": row["disabled_reason"],
            },
        }
        if version >= (2, 88):
            body["uptime"] = None
            return body
        return body | await self._sizes(db, call, row)

    async def _sizes(self, db: Connection, call: Call, row: Row) -> dict[str, Any]:
        """What was shown until 2.87."""
        held = await hosts.usage(db, row["id"])
        count = len(await servers.of_host(db, row["name"]))

        def of(name: str, what: str) -> int:
            return int(held[name][what]) if name in held else 0

        memory, disk = schedule.MEMORY_MB, schedule.DISK_GB
        info = row["capacity"].get("cpu_info") or {}
        return {
            "cpu_info": info if call.microversion >= (2, 28) else json.dumps(info),
            "current_workload": 0,
            "disk_available_least": of(disk, "total") - of(disk, "used"),
            "free_disk_gb": of(disk, "total") - of(disk, "used"),
            "free_ram_mb": of(memory, "total") - of(memory, "used") - of(memory, "reserved"),
            "local_gb": of(disk, "total"),
            "local_gb_used": of(disk, "used"),
            "memory_mb": of(memory, "total"),
            "memory_mb_used": of(memory, "used") + of(memory, "reserved"),
            "running_vms": count,
            "vcpus": of(schedule.VCPU, "total"),
            "vcpus_used": of(schedule.VCPU, "used"),
        }

    async def _held(self, db: Connection, call: Call) -> listing.Page:
        held = await hosts.everyone(db)
        pattern = call.query.get("hypervisor_hostname_pattern")
        if pattern is not None and call.microversion >= (2, 53):
            held = [row for row in held if pattern in row["name"]]
            if not held:
                raise Fault(404, f"No hypervisor matching '{pattern[:80]}' could be found.")
        if call.microversion >= (2, 33):
            key = "id" if call.microversion >= (2, 53) else "number"
            return listing.cut(call, held, key)
        return listing.Page(held, more=False)

    async def list(self, call: Call) -> dict[str, Any]:
        """Names."""
        call.allow()
        async with self._database.read() as db:
            found = await self._held(db, call)
            shown = [
                await self._with_servers(db, call, self._brief(call, row)) for row in found.rows
            ]
        return {"hypervisors": shown} | self._link(call, found)

    def _link(self, call: Call, found: listing.Page) -> dict[str, Any]:
        if call.microversion < (2, 33):
            return {}
        key = "id" if call.microversion >= (2, 53) else "number"
        return listing.next_link(call, "hypervisors", found, key)

    async def _with_servers(
        self, db: Connection, call: Call, body: dict[str, Any]
    ) -> dict[str, Any]:
        """With the servers of each (2.53)."""
        if call.microversion < (2, 53) or not truth(call.query.get("with_servers") or "false"):
            return body
        held = await servers.of_host(db, body["hypervisor_hostname"])
        if held or call.microversion >= (2, 75):
            body["servers"] = [
                {"uuid": one["id"], "name": f"instance-{one['number']:08x}"} for one in held
            ]
        return body

    async def detail(self, call: Call) -> dict[str, Any]:
        """With everything."""
        call.allow()
        async with self._database.read() as db:
            found = await self._held(db, call)
            shown = [
                await self._with_servers(db, call, await self._full(db, call, row))
                for row in found.rows
            ]
        return {"hypervisors": shown} | self._link(call, found)

    async def _row(self, db: Connection, call: Call) -> Row:
        wanted = call.variables["hypervisor_id"]
        key = "id" if call.microversion >= (2, 53) else "number"
        if key == "id" and len(wanted.replace("-", "")) != 32:
            raise bad_request(f"Invalid uuid {wanted[:80]}")
        for row in await hosts.everyone(db):
            if str(row[key]) == wanted:
                return row
        raise Fault(404, f"Hypervisor with ID '{wanted[:80]}' could not be found.")

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        call.allow()
        async with self._database.read() as db:
            body = await self._full(db, call, await self._row(db, call))
            return {"hypervisor": await self._with_servers(db, call, body)}

    async def uptime(self, call: Call) -> dict[str, Any]:
        """How long it has been up: hosts do not tell."""
        call.allow()
        async with self._database.read() as db:
            row = await self._row(db, call)
        if not hosts.alive(self._service, row):
            raise bad_request("The host is down.")
        return {"hypervisor": {**self._brief(call, row), "uptime": ""}}

    async def statistics(self, call: Call) -> dict[str, Any]:
        """All together."""
        call.allow()
        async with self._database.read() as db:
            held = [await self._sizes(db, call, row) for row in await hosts.everyone(db)]
        found = {name: sum(one[name] for one in held) for name in TOTALS}
        return {"hypervisor_statistics": {**found, "count": len(held)}}

    async def _matching(self, db: Connection, call: Call) -> Sequence[Row]:
        wanted = call.variables["hypervisor_id"]
        held = [row for row in await hosts.everyone(db) if wanted in row["name"]]
        if not held:
            raise Fault(404, f"No hypervisor matching '{wanted[:80]}' could be found.")
        return held

    async def search(self, call: Call) -> dict[str, Any]:
        """Those whose names hold a text."""
        call.allow()
        async with self._database.read() as db:
            held = await self._matching(db, call)
        return {"hypervisors": [self._brief(call, row) for row in held]}

    async def servers(self, call: Call) -> dict[str, Any]:
        """The same with their servers."""
        call.allow()
        found = []
        async with self._database.read() as db:
            for row in await self._matching(db, call):
                body = self._brief(call, row)
                held = await servers.of_host(db, row["name"])
                if held:
                    body["servers"] = [
                        {"uuid": one["id"], "name": f"instance-{one['number']:08x}"} for one in held
                    ]
                found.append(body)
        return {"hypervisors": found}


class OldHosts:
    """`/os-hosts`, until 2.42."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, single, rule = "/os-hosts", "/os-hosts/{host_name}", f"{API}os-hosts"
        power = [
            Route("GET", f"{single}/{verb}", f"{rule}:{verb}", self.power)
            for verb in ("startup", "shutdown", "reboot")
        ]
        power[0] = power[0]._replace(rule=f"{rule}:start")
        return both(
            [
                Route("GET", top, f"{rule}:list", self.list),
                Route("GET", single, f"{rule}:show", self.show),
                Route("PUT", single, f"{rule}:update", self.update, 200, Shape({})),
                *power,
            ],
            until=(2, 42),
        )

    async def list(self, call: Call) -> dict[str, Any]:
        """Names, services and zones."""
        call.allow()
        zone = call.query.get("zone")
        async with self._database.read() as db:
            aggregates = await hosts.aggregates(db)
            held = [
                (row["name"], "compute", hosts.zone_of(aggregates, row["name"]))
                for row in await hosts.everyone(db)
            ]
        held += [(self._service.node, name[5:], "internal") for name in CONTROL]
        found = [
            {"host_name": name, "service": kind, "zone": in_zone}
            for name, kind, in_zone in held
            if not zone or zone == in_zone
        ]
        return {"hosts": found}

    async def show(self, call: Call) -> dict[str, Any]:
        """What a host has, and what is used of it."""
        call.allow()
        async with self._database.read() as db:
            row = await found_or_404(db, call.variables["host_name"])
            held = await hosts.usage(db, row["id"])
        found = []
        for project, what in (("(total)", "total"), ("(used_now)", "used"), ("(used_max)", "used")):
            sizes = {name: int(one[what]) for name, one in held.items()}
            found.append(
                {
                    "resource": {
                        "host": row["name"],
                        "project": project,
                        "cpu": sizes.get(schedule.VCPU, 0),
                        "memory_mb": sizes.get(schedule.MEMORY_MB, 0),
                        "disk_gb": sizes.get(schedule.DISK_GB, 0),
                    }
                }
            )
        return {"host": found}

    async def update(self, call: Call) -> dict[str, Any]:
        """Enable or disable it."""
        call.allow()
        given = call.body
        if not given or set(given) - {"status", "maintenance_mode"}:
            raise bad_request("Invalid update setting")
        status = str(given.get("status", "enable")).lower()
        if status not in {"enable", "disable"} or given.get("maintenance_mode") not in {
            None,
            "enable",
            "disable",
        }:
            raise bad_request("Invalid status")
        async with self._database.write() as db:
            row = await found_or_404(db, call.variables["host_name"])
            if "maintenance_mode" in given:
                raise not_built("Maintenance mode of hosts")
            disabled = status == "disable"
            await rows.update(db, hosts.TABLE, row["id"], {"disabled": disabled})
        return {"host": row["name"], "status": "disabled" if disabled else "enabled"}

    async def power(self, call: Call) -> None:
        """Not built: hosts are not powered from here."""
        call.allow()
        async with self._database.read() as db:
            await found_or_404(db, call.variables["host_name"])
        raise not_built("Power of hosts")


class Zones:
    """Availability zones."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, rule = "/os-availability-zone", f"{API}os-availability-zone"
        return both(
            [
                Route("GET", top, f"{rule}:list", self.list),
                Route("GET", f"{top}/detail", f"{rule}:detail", self.detail),
            ]
        )

    def _available(self, held: list[Row]) -> bool:
        return any(not row["disabled"] for row in held)

    async def list(self, call: Call) -> dict[str, Any]:
        """Names and whether they can be used."""
        call.allow(of={"project_id": call.identity.project_id})
        async with self._database.read() as db:
            found = await hosts.zones(db)
        shown = [
            {
                "zoneName": name,
                "zoneState": {"available": self._available(held)},
                "hosts": None,
            }
            for name, held in (found or {ZONE: []}).items()
        ]
        return {"availabilityZoneInfo": shown}

    async def detail(self, call: Call) -> dict[str, Any]:
        """With their hosts."""
        call.allow()
        async with self._database.read() as db:
            found = await hosts.zones(db)
        shown: list[dict[str, Any]] = [
            {
                "zoneName": "internal",
                "zoneState": {"available": True},
                "hosts": {
                    self._service.node: {
                        name: self._entry(self._service.now_us(), active=True, up=True)
                        for name in CONTROL
                    }
                },
            }
        ]
        for name, held in found.items():
            inside = {
                row["name"]: {
                    BINARY: self._entry(
                        row["seen_us"],
                        active=not row["disabled"],
                        up=hosts.alive(self._service, row),
                    )
                }
                for row in held
            }
            state = {"available": self._available(held)}
            shown.append({"zoneName": name, "zoneState": state, "hosts": inside})
        return {"availabilityZoneInfo": shown}

    def _entry(self, seen_us: int, *, active: bool, up: bool) -> dict[str, Any]:
        return {"active": active, "available": up, "updated_at": precise(seen_us)}
