"""Compute is told when the addresses of a server change, once it can be reached, and not of what is no server's."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from core import rows
from core.http import HttpServer, Request, Response
from core.service_identity import ServiceIdentity
from networkd.notices import TABLE, Notices
from tests.network_site import NetworkSite

SERVER = "0b6a8f1e-0000-4000-8000-00000000f001"


def test_a_server_is_told_of_once(site: NetworkSite) -> None:
    """A floating address that comes, one that goes; while Compute is away the notice waits."""
    outside = site.outside()
    net, subnet = site.network()
    site.router(subnet, outside=outside)
    owner = {"device_id": SERVER, "device_owner": "compute:nova"}
    port = site.make("port", network_id=net["id"], **owner)
    other = site.make("port", network_id=net["id"])
    heard: list[Any] = []

    def waiting() -> list[str]:
        async def look() -> list[str]:
            async with site.service.database.read() as db:
                return [row["id"] for row in await rows.rows(db, sa.select(TABLE))]

        return site.run(look())

    floating = site.make("floatingip", floating_network_id=outside["id"], port_id=other["id"])
    assert waiting() == []
    for port_id in (port["id"], None):
        changed = site.call(
            "PUT", f"/floatingips/{floating['id']}", {"floatingip": {"port_id": port_id}}
        )
        assert changed.status == 200
        assert waiting() == [SERVER]

    async def answer(request: Request) -> Response:
        heard.append(json.loads(await request.body.read_all(1 << 20)))
        return Response(503 if len(heard) == 1 else 200, [], b"{}")

    async def work() -> None:
        server = HttpServer(answer)
        port = await server.listen("127.0.0.1", 0)
        identity = ServiceIdentity(site.service.env, site.keyring)
        notices = Notices(site.service, f"http://127.0.0.1:{port}", identity)
        assert await notices.tell() == 0
        assert await notices.tell() == 1
        assert await notices.tell() == 0
        await server.stop()

    site.run(work())
    assert heard[1] == {"events": [{"name": "network-changed", "server_uuid": SERVER}]}
    assert len(heard) == 2
    assert waiting() == []
