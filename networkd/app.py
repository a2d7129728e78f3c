"""Networking put together: tables brought up to date, routes."""

from __future__ import annotations

from typing import Any

from core.api.app import App, Authenticate, Dialect
from core.api.route import Route, RouteTable
from core.database import migrate
from networkd.api.address_groups import AddressGroups
from networkd.api.agents import Agents
from networkd.api.discovery import Discovery
from networkd.api.floatingips import FloatingIps, Forwardings
from networkd.api.hosts import Hosts
from networkd.api.networks import Networks
from networkd.api.overview import Overview
from networkd.api.ports import Ports
from networkd.api.quotas import Quotas
from networkd.api.resource import Resource
from networkd.api.routers import Routers
from networkd.api.security_groups import SecurityGroupRules, SecurityGroups
from networkd.api.subnetpools import SubnetPools
from networkd.api.subnets import Subnets
from networkd.api.tags import Tags
from networkd.api.topology import Topology
from networkd.fault import refusal
from networkd.migrations import SCHEMA
from networkd.service import Service

PREFIX = "/network"


async def prepare(service: Service) -> None:
    """Bring the tables up to date."""
    await migrate(service.database, SCHEMA)


def routes_of(service: Service) -> list[Route]:
    """Every operation of the Networking API."""
    networks, subnets, routers = Networks(service), Subnets(service), Routers(service)
    tagged: list[Resource] = [
        networks,
        subnets,
        routers,
        Ports(service),
        FloatingIps(service),
        SecurityGroups(service),
        SubnetPools(service),
        AddressGroups(service),
    ]
    parts: list[Any] = [
        *tagged,
        SecurityGroupRules(service),
        Forwardings(service),
        *(Tags(service, kind) for kind in tagged),
        Quotas(service),
        Agents(service, networks, routers),
        Overview(service),
        Topology(service, networks, subnets, routers),
        Hosts(service),
        Discovery(),
    ]
    return [route for part in parts for route in part.routes()]


def make_app(service: Service, authenticate: Authenticate, address: str) -> App:
    """The API over a service. `address` is where it is when a client does not say (`http://host:port`)."""
    return App(
        service.env,
        RouteTable(routes_of(service)),
        prefix=PREFIX,
        policy=service.policy,
        authenticate=authenticate,
        address=address,
        dialect=Dialect(refusal),
    )
