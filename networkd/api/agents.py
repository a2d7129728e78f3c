"""`/agents`, and which routers and networks are served where.

One process does it all on a host; it is shown as the agents that Neutron has, because that is what tools look for.
"""

from __future__ import annotations

from typing import Any, ClassVar

from core import rows
from core.api.call import Answer, Call
from core.api.route import Route
from core.database import Connection
from core.rows import Row
from networkd import hosts, networks, ports, routers, serving
from networkd.api.resource import Resource, listed
from networkd.fault import NetworkFault, absent, bad, in_use, malformed
from networkd.listing import View, asked, page
from networkd.service import ZONE, Service
from networkd.serving import DHCP_AGENT, L2_AGENT, L3_AGENT, METADATA_AGENT
from networkd.tables import host, port
from networkd.times import spaced
from networkd.values import boolean, text, uuid

BINARY = {
    L2_AGENT: "neutron-linuxbridge-agent",
    L3_AGENT: "neutron-l3-agent",
    DHCP_AGENT: "neutron-dhcp-agent",
    METADATA_AGENT: "neutron-metadata-agent",
}
Views = list[View]
NULL = Answer(b"null")  # what Neutron answers when it has nothing to say
ATTRIBUTES = frozenset(
    {
        "id",
        "agent_type",
        "binary",
        "host",
        "topic",
        "admin_state_up",
        "alive",
        "availability_zone",
        "description",
    }
)


def view_of(row: Row) -> View:
    """An agent as the API shows it."""
    reported = row["_host"]
    settings: dict[str, Any] = {"tunneling_ip": reported["tunnel_address"]}
    if row["kind"] == L2_AGENT:
        settings |= {
            "tunnel_types": ["vxlan"],
            "bridge_mappings": reported["physical"],
            "devices": len(reported["ports"]),
            "faults": reported["faults"],
        }
    if row["kind"] == L3_AGENT:
        settings = {"agent_mode": "legacy", "routers": len(reported["routers"])}
    zoned = row["kind"] in {L3_AGENT, DHCP_AGENT}
    return {
        "id": row["id"],
        "agent_type": row["kind"],
        "binary": BINARY[row["kind"]],
        "topic": "N/A",
        "host": row["host"],
        "admin_state_up": row["admin_state_up"],
        "alive": row["_alive"],
        "availability_zone": ZONE if zoned else None,
        "description": row["description"],
        "created_at": spaced(row["created_us"]),
        "started_at": spaced(reported["started_us"]),
        "heartbeat_timestamp": spaced(reported["seen_us"]),
        "resources_synced": True,
        "configurations": settings,
    }


class Agents:
    """Operations on agents. `networks` and `routers` show what they serve."""

    TABLE: ClassVar = host.agent

    def __init__(self, service: Service, shown_networks: Resource, shown_routers: Resource) -> None:
        self._service = service
        self._networks = shown_networks
        self._routers = shown_routers

    def routes(self) -> list[Route]:
        """What is served."""
        many, single = "/v2.0/agents", "/v2.0/agents/{id}"
        return [
            Route("GET", many, "get_agent", self.list),
            Route("GET", single, "get_agent", self.show),
            Route("PUT", single, "update_agent", self.update, 200, _any),
            Route("DELETE", single, "delete_agent", self.remove, 204),
            Route("GET", f"{single}/l3-routers", "get_l3-routers", self.routers_of),
            Route("POST", f"{single}/l3-routers", "create_l3-router", self.add_router, 201, _any),
            Route(
                "DELETE",
                f"{single}/l3-routers/{{router_id}}",
                "delete_l3-router",
                self.drop_router,
                204,
            ),
            Route("GET", f"{single}/dhcp-networks", "get_dhcp-networks", self.networks_of),
            Route(
                "POST",
                f"{single}/dhcp-networks",
                "create_dhcp-network",
                self.add_network,
                201,
                _any,
            ),
            Route(
                "DELETE",
                f"{single}/dhcp-networks/{{network_id}}",
                "delete_dhcp-network",
                self.drop_network,
                204,
            ),
            Route("GET", "/v2.0/routers/{id}/l3-agents", "get_l3-agents", self.of_router),
            Route("GET", "/v2.0/networks/{id}/dhcp-agents", "get_dhcp-agents", self.of_network),
        ]

    async def _agent(self, db: Connection, call: Call, kind: str = "") -> Row:
        name = call.variables["id"]
        if not call.may("get_agent"):
            call.absence_is_open = True
            raise absent("Agent", name)
        call.allow()
        for row in await hosts.agents(db, self._service):
            if row["id"] == name and kind in {"", row["kind"]}:
                return row
        raise absent("Agent", name)

    async def list(self, call: Call) -> dict[str, Any]:
        """All; to who may see none of them the list is empty."""
        call.allowed = True
        wanted = asked(call.query.fields, ATTRIBUTES)
        async with self._service.database.read() as db:
            found = await hosts.agents(db, self._service) if call.may("get_agent") else []
        views = [view_of(row) for row in found]
        return listed(call, "agents", page(views, wanted))

    async def show(self, call: Call) -> dict[str, Any]:
        """One."""
        async with self._service.database.read() as db:
            return {"agent": view_of(await self._agent(db, call))}

    async def update(self, call: Call) -> dict[str, Any]:
        """Close one, or describe it."""
        given = call.body.get("agent")
        if not isinstance(given, dict) or not set(given) <= {"admin_state_up", "description"}:
            raise malformed("Only admin_state_up and description of an agent can be changed.")
        columns: Row = {}
        if "admin_state_up" in given:
            columns["admin_state_up"] = boolean(given["admin_state_up"], "admin_state_up")
        if "description" in given:
            columns["description"] = text(255)(given["description"] or "", "description")
        async with self._service.write() as db:
            row = await self._agent(db, call)
            await rows.update(db, self.TABLE, row["id"], columns)
            return {"agent": view_of(await self._agent(db, call))}

    async def remove(self, call: Call) -> None:
        """Forget one; it comes back when its host reports again."""
        async with self._service.write() as db:
            row = await self._agent(db, call)
            await rows.delete(db, self.TABLE, self.TABLE.c.id == row["id"])
            if not await rows.count(db, self.TABLE, self.TABLE.c.host == row["host"]):
                await rows.delete(db, hosts.HOSTS, hosts.HOSTS.c.host == row["host"])

    # routers

    async def routers_of(self, call: Call) -> dict[str, Any]:
        """The routers on an agent's host."""
        async with self._service.database.read() as db:
            agent = await self._agent(db, call, L3_AGENT)
            found = await rows.matching(db, routers.TABLE, host=agent["host"])
            return {"routers": [_public(one) for one in await self._routers.shown(db, found)]}

    def _named(self, call: Call, name: str) -> str:
        if set(call.body) != {name}:
            raise malformed(f"Unable to find '{name}' in request body")
        return str(uuid(call.body[name], name))

    async def add_router(self, call: Call) -> Answer:
        """Let a router live there. Raises Fault 409 when it lives elsewhere."""
        name = self._named(call, "router_id")
        async with self._service.write() as db:
            agent = await self._agent(db, call, L3_AGENT)
            row = await routers.get(db, name)
            if row["host"] == agent["host"]:
                return NULL
            if row["host"]:
                raise in_use(
                    "RouterHostedByL3Agent",
                    f"The router {name} has been already hosted by the L3 Agent on {row['host']}.",
                )
            if not (agent["admin_state_up"] and agent["_alive"]):
                raise NetworkFault(404, "InvalidL3Agent", f"Agent {agent['id']} is not usable.")
            await serving.place_router(db, row, agent["host"])
        return NULL

    async def drop_router(self, call: Call) -> None:
        """Take a router from there; another living host gets it, if there is one."""
        name = call.variables["router_id"]
        async with self._service.write() as db:
            agent = await self._agent(db, call, L3_AGENT)
            row = await routers.get(db, name)
            if row["host"] != agent["host"]:
                raise in_use(
                    "RouterNotHostedByL3Agent",
                    f"The router {name} is not hosted by L3 agent {agent['id']}.",
                )
            others = [
                one for one in await serving.routing_hosts(db, self._service) if one != row["host"]
            ]
            await serving.place_router(db, row, others[0] if others else "")

    async def of_router(self, call: Call) -> dict[str, Any]:
        """The agent on whose host a router lives."""
        call.allow()
        async with self._service.database.read() as db:
            row = await routers.get(db, call.variables["id"])
            return {"agents": await self._on(db, {row["host"]}, L3_AGENT)}

    async def _on(self, db: Connection, names: set[str], kind: str) -> Views:
        return [
            view_of(row)
            for row in await hosts.agents(db, self._service)
            if row["kind"] == kind and row["host"] in names
        ]

    # networks

    async def _serving(self, db: Connection, network_id: str) -> set[str]:
        found = await rows.matching(db, port.port, network_id=network_id, device_owner=ports.DHCP)
        return {row["host"] for row in found} | await serving.given_hosts(db, network_id)

    async def networks_of(self, call: Call) -> dict[str, Any]:
        """The networks that an agent's host serves."""
        async with self._service.database.read() as db:
            agent = await self._agent(db, call, DHCP_AGENT)
            found = [
                row
                for row in await rows.matching(db, networks.TABLE)
                if agent["host"] in await self._serving(db, row["id"])
            ]
            return {"networks": [_public(one) for one in await self._networks.shown(db, found)]}

    async def add_network(self, call: Call) -> Answer:
        """Let a host serve a network although no guest of it is there."""
        name = self._named(call, "network_id")
        async with self._service.write() as db:
            agent = await self._agent(db, call, DHCP_AGENT)
            await networks.get(db, name)
            if agent["host"] in await self._serving(db, name):
                raise in_use(
                    "NetworkHostedByDHCPAgent",
                    f"The network {name} has been already hosted by the DHCP Agent {agent['id']}.",
                )
            await rows.insert(db, serving.GIVEN, {"network_id": name, "host": agent["host"]})
            await serving.refresh_dhcp(db, self._service, name)
        return NULL

    async def drop_network(self, call: Call) -> None:
        """Take that back. Raises Fault 409 while guests are there."""
        name = call.variables["network_id"]
        async with self._service.write() as db:
            agent = await self._agent(db, call, DHCP_AGENT)
            if agent["host"] in await serving.hosts_with_guests(db, name):
                raise bad("Guests of the network are on this host, so it serves the network.")
            table = serving.GIVEN
            key = (table.c.network_id == name, table.c.host == agent["host"])
            if not await rows.delete(db, table, *key):
                raise in_use(
                    "NetworkNotHostedByDhcpAgent",
                    f"The network {name} is not hosted by the DHCP agent {agent['id']}.",
                )
            await serving.refresh_dhcp(db, self._service, name)

    async def of_network(self, call: Call) -> dict[str, Any]:
        """The agents whose hosts serve a network."""
        call.allow()
        async with self._service.database.read() as db:
            row = await networks.get(db, call.variables["id"])
            return {"agents": await self._on(db, await self._serving(db, row["id"]), DHCP_AGENT)}


def _public(view: View) -> View:
    return {name: value for name, value in view.items() if not name.startswith("_")}


def _any(value: Any, where: str) -> None:
    del value, where
