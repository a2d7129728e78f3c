"""One piece of work on a server, on its way: fresh rows, writes that wake the host, and waiting for what it reports.

A deed is a straight line of steps, each of which may be repeated. When the server is being deleted, every other work on
it ends at its next look.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from computed import hosts, servers
from computed.service import Service
from core import rows, worker
from core.database import Connection
from core.errors import Refused, Unavailable
from core.rows import Row

Deed: TypeAlias = worker.Deed[Service]
Finish = worker.Finish
WAIT_S = 1.0
SILENT_US = 30_000_000  # a host that reports nothing for so long is not waited for
POLL_S = 0.05
POLL_S_MAX = 0.5


class Job:
    """Work on one server."""

    def __init__(self, service: Service, work: Row) -> None:
        self.service = service
        self.work = work
        self.server_id: str = work["subject_id"]
        self.asked: Row = work["parameters"]

    async def server(self) -> Row:
        """The server as it is now. Raises Refused when it is gone or going."""
        async with self.service.database.read() as db:
            row = await rows.by_id(db, servers.TABLE, self.server_id)
        if row is None or row["deleted_us"]:
            raise Refused("Gone", "the server is gone")
        if row["task_state"] == "deleting" and self.work["kind"] != "server.delete":
            raise Refused("Going", "the server is being deleted")
        return row

    async def disks(self) -> list[Row]:
        """Its disks."""
        async with self.service.database.read() as db:
            return await servers.disks_of(db, self.server_id)

    async def nics(self) -> list[Row]:
        """Its interfaces."""
        async with self.service.database.read() as db:
            return await servers.nics_of(db, self.server_id)

    async def change(self, **columns: Any) -> None:
        """Change the server, and tell its host."""
        async with self.service.database.write() as db:
            await servers.change(db, self.service, self.server_id, **columns)
        self.service.wanted.wake()

    async def change_disk(self, disk_id: str, **columns: Any) -> None:
        """Change one of its disks."""
        async with self.service.database.write() as db:
            await rows.update(db, servers.DISKS, disk_id, columns)
        self.service.wanted.wake()

    async def change_nic(self, nic_id: str, **columns: Any) -> None:
        """Change one of its interfaces."""
        async with self.service.database.write() as db:
            await rows.update(db, servers.NICS, nic_id, columns)
        self.service.wanted.wake()

    async def wish(self, power: str, order: str = "", **columns: Any) -> Row:
        """Bring the machine to a power state, unless an earlier attempt wished so already (`order` then repeats it)."""
        row = await self.server()
        await self.change(**servers.wish(row, power, order), **columns)
        return await self.server()

    async def until(self, holds: Callable[[Row], bool]) -> Row:
        """Wait until the host has reported what is waited for; the worker's deadline ends it.

        Raises Refused when the host has been silent for so long that it will not come.
        """
        feed, since_us = self.service.reported, self.service.now_us()
        while True:
            mark = feed.mark
            row = await self.server()
            if holds(row):
                return row
            if self.service.now_us() - since_us > SILENT_US:
                await self._check_heard(row)
            await feed.wait(WAIT_S, mark)

    async def _check_heard(self, row: Row) -> None:
        async with self.service.database.read() as db:
            host = await hosts.named(db, row["host"] or "")
        silent_us = self.service.now_us() - (host["seen_us"] if host else 0)
        if silent_us > SILENT_US:
            seconds = silent_us // 1_000_000 if host else 0
            raise Refused("Silent", f"host {row['host']} has not reported for {seconds} s")

    async def off(self) -> Row:
        """Power off and wait."""
        row = await self.server()
        if row["power"] != "stopped":
            await self.change(**servers.wish(row, "stopped"))
        return await self.until(is_off)

    async def on(self) -> Row:
        """Power on with the machine as it is defined now, and wait."""
        row = await self.wish("running", "start")
        number = row["order_number"]
        return await self.until(lambda one: is_on(one, number))

    async def patience(self, attempt: int) -> None:
        """A moment, longer each time, for what a neighbour does on its own."""
        await self.service.reported.wait(min(POLL_S_MAX, POLL_S * 2**attempt))


def is_off(row: Row) -> bool:
    """The machine does not run. Pure."""
    return row["seen_power"] in {"stopped", "crashed", "absent"}


def is_on(row: Row, number: int) -> bool:
    """The machine runs, since an order. Pure."""
    return bool(row["seen_power"] == "running" and row["seen_order"] >= number)


async def ended(
    job: Job, db: Connection, vm_state: str, *, error: str = "", **columns: Any
) -> None:
    """Write the end of an action, unless the server has gone on to something else meanwhile."""
    row = await rows.by_id(db, servers.TABLE, job.server_id)
    if row is None:
        return
    await servers.conclude(
        db, job.service, job.asked.get("action_id", ""), host=row["host"], error=error
    )
    if row["deleted_us"] or row["task_state"] == "deleting":
        return
    await servers.change(
        db, job.service, job.server_id, vm_state=vm_state, task_state=None, **columns
    )


def fault_of(service: Service, message: str, code: int = 500) -> Row:
    """What a server in error shows. Pure but for the clock."""
    return {"code": code, "message": message[:1000], "created_us": service.now_us()}


def busy(what: str) -> Unavailable:
    """To be tried again."""
    return Unavailable("Busy", what)
