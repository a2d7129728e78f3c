"""Between the service and the daemons of its hosts: what is wanted, what is reported, what guests and consoles may see.

Only services of the cloud may call these (`role:service`).
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from computed import hosts, metadata, placing, report, servers, wish
from computed.port import HostReport, HostWanted
from computed.service import Service
from computed.tables import server as tables
from core import rows
from core.api.call import Answer, Call
from core.api.fault import Fault, bad_request, conflict
from core.api.route import Route
from core.database import Connection
from core.rows import Row

WAIT_S_MAX = 60.0
LOOK_EVERY_S = 2.0
HOST_CHARS = 255
METADATA_DEEP = 8
PASSWORD_BYTES_MAX = 1020


class HostCalls:
    """Operations for hosts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = service.database

    def routes(self) -> list[Route]:
        """What is served; metadata paths have as many segments as guests ask for."""
        host, told = "ringstack:compute:host", "ringstack:compute:metadata"
        found = [
            Route("GET", "/host/{host}", host, self.wanted),
            Route("POST", "/host/{host}", host, self.reported, 204),
            Route("GET", "/console/{token}", "ringstack:compute:console", self.console),
            Route("GET", "/why/{server_id}", "ringstack:compute:console", self.why),
        ]
        path = "/metadata/{port_id}"
        for depth in range(METADATA_DEEP):
            found.append(Route("GET", path, told, self.metadata))
            path += f"/{{s{depth}}}"
        kept = "/metadata/{port_id}/openstack/{version}/password"
        found.append(Route("POST", kept, told, self.set_password, 200))
        return found

    async def wanted(self, call: Call) -> Answer:
        """All servers of a host, once they differ from what it has seen or its time is over."""
        call.allow()
        host = call.variables["host"]
        seen = call.query.get("seen") or ""
        left_s = _seconds(call.query.get("wait_s"))
        feed = self._service.wanted
        while True:
            mark = feed.mark
            async with self._database.read() as db:
                found = await wish.of_host(db, host)
            if found.version != seen or left_s <= 0:
                return _json(found)
            step_s = min(LOOK_EVERY_S, left_s)
            await feed.wait(step_s, mark)
            left_s -= step_s

    async def reported(self, call: Call) -> None:
        """What a host has."""
        call.allow()
        try:
            told = msgspec.json.decode(call.raw, type=HostReport)
        except msgspec.MsgspecError as error:
            raise bad_request(f"The report cannot be read: {error}") from None
        host = call.variables["host"]
        if not host or len(host) > HOST_CHARS or told.capacity.memory_mb < 0:
            raise bad_request("That is no host.")
        async with self._database.read() as db:
            if not await report.is_due(db, self._service, host, told):
                return
        async with self._database.write() as db:
            news = await report.hear(db, self._service, host, told)
        if news:
            self._service.reported.wake()

    async def metadata(self, call: Call) -> Answer:
        """What the guest behind a port is told."""
        call.allow()
        async with self._database.read() as db:
            row = await self._behind(db, call)
            disks = await servers.disks_of(db, row["id"])
            nics = await servers.nics_of(db, row["id"])
        segments = [
            call.variables[f"s{at}"] for at in range(METADATA_DEEP) if f"s{at}" in call.variables
        ]
        found = metadata.answer("/".join(segments), row, disks, nics)
        if found is None:
            raise Fault(404, "There is nothing at that path.")
        kind = "application/json" if segments and segments[-1].endswith(".json") else "text/plain"
        return Answer(found, headers=(("Content-Type", kind),))

    async def console(self, call: Call) -> dict[str, Any]:
        """Where a console's token leads; it is for one server, one kind, and ten minutes."""
        call.allow()
        digest = hashlib.sha256(call.variables["token"].encode()).hexdigest()
        async with self._database.read() as db:
            row = await rows.by_id(db, tables.console, digest)
        if row is None or row["expires_us"] < self._service.now_us():
            raise Fault(404, "The token leads nowhere.")
        return {"server_id": row["server_id"], "kind": row["kind"], "host": row["host"]}

    async def why(self, call: Call) -> dict[str, Any]:
        """Why a server is where it is, or nowhere."""
        call.allow()
        async with self._database.read() as db:
            server = await servers.get(db, call.variables["server_id"])
            row = await placing.why(db, server["id"])
            known = len(await hosts.everyone(db))
        reasons = [] if row is None else row["reasons"]
        return {
            "server_id": server["id"],
            "host": server["host"],
            "fault": server["fault"],
            "reasons": [dict(zip(("host", "filter", "why"), one, strict=True)) for one in reasons],
            "host_count": known,
        }

    async def _behind(self, db: Connection, call: Call) -> Row:
        """The server behind the port in the path. Raises Fault 404."""
        where = tables.nic.c.port_id == call.variables["port_id"]
        nic = await rows.first(db, tables.nic.select().where(where))
        if nic is None:
            raise Fault(404, "There is no server at that port.")
        return await servers.get(db, nic["server_id"])

    async def set_password(self, call: Call) -> Answer:
        """Keep the password that a guest has made and encrypted; once, until its user has cleared it."""
        call.allow()
        if not 0 < len(call.raw) <= PASSWORD_BYTES_MAX:
            raise bad_request(f"A password has 1 to {PASSWORD_BYTES_MAX} bytes.")
        async with self._database.write() as db:
            row = await self._behind(db, call)
            if row["password"]:
                raise conflict("The password has been set before.")
            text = call.raw.decode("utf-8", "replace")
            await servers.change(db, self._service, row["id"], password=text)
        return Answer(b"", headers=(("Content-Type", "text/plain"),))


def _seconds(text: str | None) -> float:
    try:
        return min(WAIT_S_MAX, max(0.0, float(text or 0)))
    except ValueError:
        raise bad_request("wait_s is a number of seconds.") from None


def _json(found: HostWanted) -> Answer:
    return Answer(msgspec.json.encode(found), headers=(("Content-Type", "application/json"),))
