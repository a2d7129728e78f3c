"""What hosts report of their servers, and what follows from it at once."""

from __future__ import annotations

from computed import hosts, servers, states
from computed.port import ABSENT, CRASHED, RUNNING, STOPPED, HostReport, Observed
from computed.service import Service
from core import rows
from core.database import Connection
from core.rows import Row

SEEN_EVERY_US = 4_000_000
FAULT_CHARS = 1000


def seen_columns(one: Observed) -> Row:
    """What is remembered of an observation. Pure."""
    return {
        "seen_power": one.power,
        "seen_order": one.order_done,
        "seen": {"disks": list(one.disks), "interfaces": list(one.interfaces)},
        "seen_fault": one.fault[:FAULT_CHARS],
        "seen_vnc": one.vnc_port,
    }


def turned_off(row: Row) -> Row:
    """Columns for a server that nobody is doing anything with and whose guest went off by itself. Pure."""
    if row["task_state"] or row["vm_state"] != states.ACTIVE or row["power"] != RUNNING:
        return {}
    if row["seen_power"] not in {STOPPED, CRASHED} or row["seen_order"] < row["order_number"]:
        return {}
    return {"vm_state": states.STOPPED, "power": STOPPED, "orders": []}


async def hear(db: Connection, service: Service, host: str, report: HostReport) -> bool:
    """Take a report; whether it said anything new."""
    await hosts.hear(db, service, host, report.capacity, report.console)
    seen = {one.server_id: one for one in report.servers}
    news = False
    for row in await servers.of_host(db, host):
        one = seen.get(row["id"]) or Observed(row["id"], ABSENT, order_done=row["seen_order"])
        columns = seen_columns(one)
        columns["seen_order"] = max(columns["seen_order"], row["seen_order"])
        if any(row[name] != value for name, value in columns.items()):
            news = True
            await rows.update(db, servers.TABLE, row["id"], columns)
            row.update(columns)
        after = turned_off(row)
        if after:
            await servers.change(db, service, row["id"], **after)
    return news


async def is_due(db: Connection, service: Service, host: str, report: HostReport) -> bool:
    """Whether a report has to be written at all: something is new, or the last one is seconds ago."""
    row = await hosts.named(db, host)
    if row is None or service.now_us() - row["seen_us"] > SEEN_EVERY_US:
        return True
    seen = {one.server_id: one for one in report.servers}
    for held in await servers.of_host(db, host):
        one = seen.get(held["id"]) or Observed(held["id"], ABSENT, order_done=held["seen_order"])
        if any(held[name] != value for name, value in seen_columns(one).items()):
            return True
    return bool(row["console"] != report.console)
