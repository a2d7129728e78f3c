"""`/auto-allocated-topology`: a network of one's own with a way out, made when it is first asked for."""

from __future__ import annotations

from typing import Any

from core import rows
from core.api.call import Call
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from networkd import networks, ports, routers
from networkd.api.networks import Networks
from networkd.api.resource import PROJECT
from networkd.api.routers import Routers
from networkd.api.subnets import Subnets
from networkd.fault import NetworkFault, bad
from networkd.ports import INTERFACE
from networkd.service import Service
from networkd.subnets import POOLS
from networkd.tables import topology
from networkd.values import decoded

TABLE = topology.topology
NAME = "auto_allocated_network"


class Topology:
    """Operations on the network that a project is given."""

    def __init__(
        self,
        service: Service,
        made_networks: Networks,
        made_subnets: Subnets,
        made_routers: Routers,
    ) -> None:
        self._service = service
        self._networks, self._subnets = made_networks, made_subnets
        self._routers = made_routers

    def routes(self) -> list[Route]:
        """What is served."""
        path = "/v2.0/auto-allocated-topology/{project_id}"
        return [
            Route("GET", path, "get_auto_allocated_topology", self.show),
            Route("DELETE", path, "delete_auto_allocated_topology", self.remove, 204),
        ]

    def _project(self, call: Call) -> str:
        name = call.variables["project_id"]
        if name in {"null", "None", "none"}:
            name = call.identity.project_id
        if not name or not PROJECT.fullmatch(name):
            raise bad("That is not the id of a project.")
        call.allow(of={"project_id": name, "tenant_id": name})
        return name

    async def show(self, call: Call) -> dict[str, Any]:
        """Its id; `fields=dry-run` only tells whether it could be made."""
        name = self._project(call)
        dry = any(pair == ("fields", "dry-run") for pair in call.query.fields)
        async with self._service.write() as db:
            found = await rows.first(db, TABLE.select().where(TABLE.c.project_id == name))
            if found is None:
                outside, pools = await self._requirements(db)
                if dry:
                    return self._told(name, "dry-run=pass")
                found = await self._make(db, call, name, (outside, pools))
            return self._told(name, "dry-run=pass" if dry else found["network_id"])

    def _told(self, name: str, what: str) -> dict[str, Any]:
        return {"auto_allocated_topology": {"id": what, "project_id": name, "tenant_id": name}}

    async def _requirements(self, db: Connection) -> tuple[Row, list[Row]]:
        outside = await rows.matching(db, networks.TABLE, is_default=True, external=True)
        pools = await rows.matching(db, POOLS, is_default=True, shared=True)
        if not outside:
            raise self._impossible("No default router:external network")
        if not pools:
            raise self._impossible("No default subnetpools defined")
        return outside[0], pools

    def _impossible(self, why: str) -> NetworkFault:
        return NetworkFault(
            409,
            "AutoAllocationFailure",
            f"Deployment error: {why}.",
        )

    async def _make(
        self, db: Connection, call: Call, name: str, given: tuple[Row, list[Row]]
    ) -> Row:
        outside, pools = given

        def body(kind: Any, **attributes: Any) -> Row:
            return {**decoded(kind.attributes, attributes, new=True), "project_id": name}

        network_id = await self._networks.create(db, call, body(self._networks, name=NAME))
        info = {"network_id": outside["id"]}
        wanted = body(self._routers, name="auto_allocated_router", external_gateway_info=info)
        router_id = await self._routers.create(db, call, wanted)
        for pool in pools:
            version = pool["ip_version"]
            asked = body(
                self._subnets,
                name=f"auto_allocated_subnet_v{version}",
                network_id=network_id,
                ip_version=version,
                subnetpool_id=pool["id"],
            )
            subnet_id = await self._subnets.create(db, call, asked)
            subnet = await rows.by_id(db, self._subnets.table, subnet_id)
            assert subnet is not None
            router = await routers.get(db, router_id)
            await routers.add_subnet(db, self._service, router, subnet)
        row = {"project_id": name, "network_id": network_id, "router_id": router_id}
        await rows.insert(db, TABLE, row)
        return row

    async def remove(self, call: Call) -> None:
        """All of it. Raises Fault 409 while it is used."""
        name = self._project(call)
        async with self._service.write() as db:
            found = await rows.first(db, TABLE.select().where(TABLE.c.project_id == name))
            if found is None:
                raise NetworkFault(
                    404,
                    "AutoAllocatedTopologyNotFound",
                    f"No auto-allocated topology of project {name} could be found.",
                )
            router = await rows.by_id(db, routers.TABLE, found["router_id"])
            if router is not None:
                for leg in await routers.legs(db, router["id"], INTERFACE):
                    await routers.check_removable(
                        db, router, leg, {one.subnet_id for one in leg.addresses}
                    )
                    await ports.drop(db, leg.port["id"])
                await self._routers.delete(db, call, router)
            row = await rows.by_id(db, networks.TABLE, found["network_id"])
            if row is not None:
                await self._networks.delete(db, call, row)
            await rows.delete(db, TABLE, TABLE.c.project_id == name)
