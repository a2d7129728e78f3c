"""What was done with servers and what is known of them: actions and events, migrations, consoles, diagnostics, topology."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from computed import consoles, journeys, listing, servers
from computed.api.paths import both
from computed.api.server_view import host_id
from computed.api.shape import one
from computed.fault import absent
from computed.service import Service
from computed.sight import about, allowed, row_of, visible
from computed.times import parsed, precise
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request
from core.api.route import Route
from core.api.shape import Shape, choice
from core.database import Connection
from core.errors import RingstackError
from core.rows import Row

API = "os_compute_api:"
ACTIONS = servers.ACTIONS
CONSOLE = one(
    "remote_console",
    Shape(
        {
            "protocol": choice("vnc", "spice", "rdp", "serial", "mks"),
            "type": choice(
                "novnc", "xvpvnc", "spice-html5", "rdp-html5", "serial", "webmks", "spice-direct"
            ),
        },
        ["protocol", "type"],
        more=False,
    ),
)


def bounds(call: Call, column: sa.Column[Any]) -> list[sa.ColumnElement[bool]]:
    """`changes-since` and `changes-before` of records. Raises Fault 400."""
    found: list[sa.ColumnElement[bool]] = []
    times = {}
    for name in ("changes-since", "changes-before"):
        raw = call.query.get(name)
        if raw is None:
            continue
        us = parsed(raw)
        if us is None:
            raise bad_request(f"Invalid input for query parameters {name}. Value: {raw[:80]}.")
        times[name] = us
        found.append(column >= us if name == "changes-since" else column <= us)
    if len(times) == 2 and times["changes-since"] > times["changes-before"]:
        raise bad_request(
            "The value of changes-since must be less than or equal to changes-before."
        )
    return found


class InstanceActions:
    """What was asked of a server, and how it went."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top, rule = "/servers/{server_id}/os-instance-actions", f"{API}os-instance-actions"
        return both(
            [
                Route("GET", top, f"{rule}:list", self.list),
                Route("GET", f"{top}/{{request_id}}", f"{rule}:show", self.show),
            ]
        )

    async def _server(self, db: Connection, call: Call) -> Row:
        """The server, from 2.21 on also one that was deleted."""
        if call.microversion < (2, 21):
            return await allowed(db, call)
        call.absence_is_open = True
        row = await rows.by_id(db, servers.TABLE, call.variables["server_id"])
        if row is None or not visible(call, row):
            raise absent("Instance", call.variables["server_id"])
        call.allow(of=about(row))
        return row

    def _shown(self, call: Call, row: Row) -> dict[str, Any]:
        body = {
            "action": row["action"],
            "instance_uuid": row["server_id"],
            "message": row["message"],
            "project_id": row["project_id"],
            "request_id": row["request_id"],
            "start_time": precise(row["start_us"]),
            "user_id": row["user_id"],
        }
        if call.microversion >= (2, 58):
            body["updated_at"] = precise(row["updated_us"])
        return body

    async def list(self, call: Call) -> dict[str, Any]:
        """All, the newest first."""
        paged = call.microversion >= (2, 58)
        async with self._database.read() as db:
            row = await self._server(db, call)
            where = [ACTIONS.c.server_id == row["id"]]
            where += bounds(call, ACTIONS.c.updated_us) if paged else []
            statement = sa.select(ACTIONS).where(*where).order_by(ACTIONS.c.start_us.desc())
            held = await rows.rows(db, statement)
        found = listing.cut(call, held, "request_id") if paged else listing.Page(held, more=False)
        body: dict[str, Any] = {"instanceActions": [self._shown(call, one) for one in found.rows]}
        return body | (listing.next_link(call, "links", found, "request_id") if paged else {})

    async def show(self, call: Call) -> dict[str, Any]:
        """One with its events."""
        async with self._database.read() as db:
            row = await self._server(db, call)
            same = (
                ACTIONS.c.server_id == row["id"],
                ACTIONS.c.request_id == call.variables["request_id"],
            )
            found = await rows.first(db, sa.select(ACTIONS).where(*same))
        if found is None:
            raise Fault(
                404,
                f"Action for request_id {call.variables['request_id'][:80]} on instance {row['id']} not found",
            )
        body = self._shown(call, found)
        if call.may(f"{API}os-instance-actions:events", of=about(row)) and (
            call.microversion >= (2, 51) or call.may("context_is_admin")
        ):
            body["events"] = [self._event(call, row, one) for one in found["events"]]
        return {"instanceAction": body}

    def _event(self, call: Call, row: Row, event: Row) -> dict[str, Any]:
        body = {
            "event": event["event"],
            "start_time": precise(event["start_us"]),
            "finish_time": precise(event["finish_us"]),
            "result": event["result"],
        }
        details = call.may(f"{API}os-instance-actions:events:details")
        if details or call.microversion < (2, 51):
            body["traceback"] = event["traceback"]
        if call.microversion >= (2, 62):
            body["hostId"] = host_id({**row, "host": event["host"]})
            if details:
                body["host"] = event["host"]
        if call.microversion >= (2, 84):
            body["details"] = event["details"]
        return body


class Migrations:
    """Moves of servers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        rule = f"{API}servers:migrations"
        top = "/servers/{server_id}/migrations"
        single = f"{top}/{{migration_id}}"
        return both(
            [
                Route("GET", "/os-migrations", f"{API}os-migrations:index", self.list),
                Route("GET", top, f"{rule}:index", self.of_server, since=(2, 23)),
                Route("GET", single, f"{rule}:show", self.show, since=(2, 23)),
                Route("DELETE", single, f"{rule}:delete", self.none, since=(2, 24)),
                Route(
                    "POST",
                    f"{single}/action",
                    f"{rule}:force_complete",
                    self.none,
                    202,
                    Shape({}),
                    since=(2, 22),
                ),
            ]
        )

    async def list(self, call: Call) -> dict[str, Any]:
        """All, the newest first."""
        call.allow()
        table, version = journeys.TABLE, call.microversion
        where = bounds(call, table.c.updated_us) if version >= (2, 59) else []
        names = {
            "status": "status",
            "instance_uuid": "server_id",
            "migration_type": "kind",
            "source_compute": "source",
            "user_id": "user_id",
            "project_id": "project_id",
        }
        for name, column in names.items():
            if name in call.query:
                where.append(table.c[column] == call.query.get(name))
        host = call.query.get("host")
        if host is not None:
            where.append((table.c.source == host) | (table.c.target == host))
        async with self._database.read() as db:
            statement = sa.select(table).where(*where).order_by(table.c.number.desc())
            held = await rows.rows(db, statement)
        paged = version >= (2, 59)
        found = listing.cut(call, held) if paged else listing.Page(held, more=False)
        body: dict[str, Any] = {"migrations": [self._shown(call, one) for one in found.rows]}
        return body | (listing.next_link(call, "migrations", found) if paged else {})

    def _shown(self, call: Call, row: Row) -> dict[str, Any]:
        version = call.microversion
        body = {
            "created_at": precise(row["created_us"]),
            "dest_compute": row["target"],
            "dest_host": None,
            "dest_node": row["target"],
            "id": row["number"],
            "instance_uuid": row["server_id"],
            "new_instance_type_id": _number(row["new_flavor_id"]),
            "old_instance_type_id": _number(row["old_flavor_id"]),
            "source_compute": row["source"],
            "source_node": row["source"],
            "status": row["status"],
            "updated_at": precise(row["updated_us"]),
        }
        if version >= (2, 23):
            body["migration_type"] = row["kind"]
        if version >= (2, 59):
            body["uuid"] = row["id"]
        if version >= (2, 80):
            body |= {"user_id": row["user_id"], "project_id": row["project_id"]}
        return body

    async def of_server(self, call: Call) -> dict[str, Any]:
        """Live migrations of a server: none."""
        async with self._database.read() as db:
            await row_of(db, call)
        call.allow()
        return {"migrations": []}

    async def show(self, call: Call) -> None:
        """None."""
        await self.none(call)

    async def none(self, call: Call) -> None:
        """There is no live migration to look at, hurry or stop."""
        async with self._database.read() as db:
            row = await row_of(db, call)
        call.allow()
        raise Fault(
            404,
            f"In-progress live migration {call.variables['migration_id'][:80]} is not found for server {row['id']}.",
        )


def _number(flavor_id: str | None) -> int:
    """Flavors have had numbers once; those whose id is one still do."""
    return int(flavor_id) if flavor_id and flavor_id.isdigit() and len(flavor_id) < 10 else 0


class Consoles:
    """Consoles (2.6), and what a console's proxy asks."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        rule = f"{API}os-remote-consoles"
        top, single = "/servers/{server_id}/remote-consoles", "/os-console-auth-tokens/{token}"
        return both(
            [
                Route("POST", top, rule, self.open, 200, CONSOLE, since=(2, 6)),
                Route("GET", single, f"{API}os-console-auth-tokens", self.token),
            ]
        )

    async def open(self, call: Call) -> dict[str, Any]:
        """A URL that opens one."""
        given = call.part("remote_console")
        url = await consoles.open_console(self._service, call, given["protocol"], given["type"])
        return {"remote_console": {**given, "url": url}}

    async def token(self, call: Call) -> dict[str, Any]:
        """What a token opens."""
        call.allow()
        row = await consoles.entry_of(self._service, call.variables["token"])
        if row is None:
            raise Fault(404, "Token not found")
        return {
            "console": {
                "instance_uuid": row["server_id"],
                "host": row["host"],
                "port": row["port"],
                "internal_access_path": None,
            }
        }


NIC_FACTS = tuple(
    f"{way}_{what}"
    for way in ("rx", "tx")
    for what in ("octets", "errors", "drop", "packets", "rate")
)
DISK_FACTS = ("read_bytes", "read_requests", "write_bytes", "write_requests", "errors_count")


def whole_diagnostics(found: dict[str, Any]) -> dict[str, Any]:
    """Diagnostics with every key that 2.48 documents; what a host does not know is null. Pure."""

    def filled(name: str, keys: tuple[str, ...]) -> list[dict[str, Any]]:
        return [{**dict.fromkeys(keys), **dict(one_of)} for one_of in found.get(name) or ()]

    return {
        **found,
        "nic_details": filled("nic_details", ("mac_address", *NIC_FACTS)),
        "disk_details": filled("disk_details", DISK_FACTS),
        "cpu_details": filled("cpu_details", ("id", "time", "utilisation")),
    }


class Facts:
    """Diagnostics and topology of a machine."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served."""
        top = "/servers/{server_id}"
        return both(
            [
                Route("GET", f"{top}/diagnostics", f"{API}os-server-diagnostics", self.diagnostics),
                Route(
                    "GET",
                    f"{top}/topology",
                    f"{API}server:topology:index",
                    self.topology,
                    since=(2, 78),
                ),
            ]
        )

    async def diagnostics(self, call: Call) -> dict[str, Any]:
        """Counters, in the form of 2.48 or as a flat list of before."""
        async with self._database.read() as db:
            row = await allowed(db, call)
            servers.check(row, "get_diagnostics")
            address = await consoles.address_of(db, row)
        try:
            found = await self._service.daemons.diagnostics(address, row["id"])
        except RingstackError as error:
            raise Fault(409, f"The host cannot tell now: {error.message}") from None
        if call.microversion >= (2, 48):
            return whole_diagnostics(found)
        details = found.get("memory_details") or {}
        flat: dict[str, Any] = {"memory": int(details.get("maximum") or 0) * 1024}
        for at, one_of in enumerate(found.get("cpu_details") or ()):
            flat[f"cpu{at}_time"] = one_of.get("time")
        return flat

    async def topology(self, call: Call) -> dict[str, Any]:
        """Machines here have no topology of their own."""
        async with self._database.read() as db:
            await allowed(db, call)
        return {"nodes": [], "pagesize_kb": None}
