"""Telling Compute that the addresses of a server have changed, as Neutron tells Nova: by an external event.

A notice is a row, written in the transaction of the change, and removed once Compute has answered; so none is lost, and one
told twice does no harm. Reference: Compute API, Create External Events, `network-changed`.
"""

from __future__ import annotations

import asyncio
import logging

import sqlalchemy as sa

from core import rows
from core.api.client import Client
from core.database import Connection
from core.errors import RingstackError
from core.service_identity import ServiceIdentity
from networkd import ports
from networkd.service import Service
from networkd.tables import notice as tables

log = logging.getLogger("ringstack.networkd")

TABLE = tables.notice
SERVERS = "compute:"  # how the owner of a server's port begins
EVENTS_MAX = 100
LOOK_EVERY_S = 5.0
HEARD = frozenset({200, 207, 404})


async def note(db: Connection, service: Service, *port_ids: str | None) -> None:
    """Remember that the servers of these ports are to be told, for those that are of servers."""
    wanted = sa.select(ports.TABLE.c.device_id).where(
        ports.TABLE.c.id.in_([one for one in port_ids if one]),
        ports.TABLE.c.device_owner.startswith(SERVERS),
    )
    for server_id in {str(one) for one in (await db.execute(wanted)).scalars()}:
        await rows.delete(db, TABLE, TABLE.c.id == server_id)
        await rows.insert(db, TABLE, {"id": server_id, "created_us": service.now_us()})


class Notices:
    """Tells them, one batch after the other."""

    def __init__(self, service: Service, base: str, identity: ServiceIdentity) -> None:
        self._service = service
        self._client = Client(base)
        self._identity = identity

    async def run_for_ever(self) -> None:
        """Tell until cancelled; looks after every change, and now and then."""
        while True:
            changed = asyncio.ensure_future(self._service.feed.wait(LOOK_EVERY_S))
            try:
                while await self.tell() == EVENTS_MAX:
                    pass
            except (RingstackError, sa.exc.SQLAlchemyError) as error:
                log.info("Compute cannot be told of addresses yet: %s", error)
            await changed

    async def tell(self) -> int:
        """One batch; returns how many. Raises Unavailable, SQLAlchemyError."""
        async with self._service.database.read() as db:
            found = await rows.rows(db, sa.select(TABLE).limit(EVENTS_MAX))
        if not found:
            return 0
        events = [{"name": "network-changed", "server_uuid": row["id"]} for row in found]
        reply = await self._client.call(
            "POST",
            "/v2.1/os-server-external-events",
            {"events": events},
            headers={"X-Auth-Token": self._identity.token()},
        )
        if reply.status not in HEARD:
            log.warning("Compute answers %d to notices of addresses", reply.status)
            return 0
        async with self._service.database.write() as db:
            for row in found:
                same = (TABLE.c.id == row["id"], TABLE.c.created_us == row["created_us"])
                await rows.delete(db, TABLE, *same)
        return len(found)
