"""Consoles: what a guest has written, and tokens that open its screen or its serial line for ten minutes."""

from __future__ import annotations

import base64
import hashlib

from computed import hosts, servers
from computed.service import Service
from computed.sight import allowed
from computed.tables import server as tables
from core import rows
from core.api.call import Call
from core.api.fault import Fault, bad_request, conflict
from core.database import Connection
from core.errors import NotFound, Unavailable
from core.rows import Row

TOKEN_BYTES = 24
LASTS_US = 600_000_000
KINDS = {("vnc", "novnc"): "vnc", ("serial", "serial"): "serial"}
OTHERS = {("vnc", "xvpvnc"), ("spice", "spice-html5"), ("rdp", "rdp-html5"), ("mks", "webmks")}
OTHERS |= {("spice", "spice-direct")}


async def address_of(db: Connection, row: Row) -> str:
    """Where the daemon of a server's host answers. Raises Fault 409 for a server that is nowhere."""
    servers.check_placed(row)
    host = await hosts.named(db, row["host"])
    return "" if host is None else str(host["console"])


async def output(db: Connection, service: Service, row: Row) -> str:
    """The serial console's contents. Raises Fault 404, 409."""
    address = await address_of(db, row)
    try:
        found = await service.daemons.log(address, row["id"])
    except NotFound:
        return ""
    except Unavailable as error:
        raise Fault(404, f"Unable to get console log of the server: {error.message}") from None
    return found.decode("utf-8", "replace")


def kind_of(protocol: str, name: str) -> str:
    """Our kind of console. Raises Fault 400."""
    kind = KINDS.get((protocol, name))
    if kind is None:
        shown = f"{protocol}/{name}"[:80]
        raise bad_request(
            f"Unavailable console type {shown}."
            if (protocol, name) in OTHERS
            else f"Invalid console type {shown}"
        )
    return kind


async def open_console(service: Service, call: Call, protocol: str, name: str) -> str:
    """A URL that opens a console of the server in the path. Raises Fault 400, 404, 409."""
    kind = kind_of(protocol, name)
    async with service.database.read() as db:
        row = await allowed(db, call)
        if row["vm_state"] != "active" or not row["host"]:
            raise conflict("Instance not yet ready")
        address = await address_of(db, row)
    if not address:
        raise Fault(503, "The host of the server has no consoles.")
    token = base64.urlsafe_b64encode(service.env.random_bytes(TOKEN_BYTES)).decode()
    entry = {
        "id": hashlib.sha256(token.encode()).hexdigest(),
        "server_id": row["id"],
        "kind": kind,
        "host": row["host"],
        "port": 0,
        "expires_us": service.now_us() + LASTS_US,
    }
    async with service.database.write() as db:
        await rows.insert(db, tables.console, entry)
    if kind == "serial":
        return f"ws://{address}/serial?token={token}"
    return f"http://{address}/vnc_lite.html?path=%3Ftoken%3D{token}"


async def entry_of(service: Service, token: str) -> Row | None:
    """What a token opens; None when it is unknown or over, or its server has gone."""
    async with service.database.read() as db:
        name = hashlib.sha256(token.encode()).hexdigest()
        row = await rows.by_id(db, tables.console, name)
        server = None if row is None else await rows.by_id(db, servers.TABLE, row["server_id"])
    if row is None or row["expires_us"] < service.now_us():
        return None
    return row if server is not None and not server["deleted_us"] else None
