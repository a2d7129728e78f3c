"""The plan of a host: from what it is told to all that its kernel and daemons should have. Pure.

What is bad in itself (an address that is none, a rule that cannot be) is left out and reported under its id, and never stops
the rest. A guest's port that is left out has a tap that passes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from networkd.plan import advertising, dhcp, groups, guard, names, network, router, values
from networkd.plan.ground import Ground
from networkd.plan.plan import MACHINE, Link, Listener, Plan, Service, Space, Table
from networkd.port import Group, HostState, Network, Port, Router


class Draft:
    """A plan in the making."""

    def __init__(self, state: HostState, ground: Ground) -> None:
        self.state, self.ground = state, ground
        self.host = ground.host_space
        self.faults: dict[str, str] = {}
        self.networks: dict[str, Network] = {}
        self.links: dict[str, Link] = {}
        self.floods: dict[str, frozenset[str]] = {}
        self.machine_links: dict[str, Link] = {}
        self.machine_addresses: dict[str, frozenset[str]] = {}
        self.spaces: dict[str, Space] = {}
        self.services: dict[str, Service] = {}
        self.listeners: dict[str, Listener] = {}
        self.guests: dict[str, Port] = {}
        self.ports: dict[str, tuple[str, str]] = {}
        self.routers: dict[str, str] = {}
        self.translations: dict[str, Router] = {}
        self.physical: dict[str, str] = dict(ground.bridges)

    def add_network(self, one: Network) -> None:
        """A network's bridge, ways out, guests, DHCP. Raises ValueError."""
        links = [network.bridge(one)]
        tunnel = network.tunnel(one, self.ground)
        outlet = network.outlet(one, self.ground)
        space = network.service_space(one, self.ground)
        if tunnel is not None:
            links.append(tunnel[0])
            self.floods[tunnel[0].name] = tunnel[1]
        if outlet is not None:
            near, far, addresses = outlet
            links.append(near)
            self.machine_links[far.name] = far
            self.machine_addresses[far.name] = addresses
            self.physical[one.physical] = near.master
        self.networks[one.id] = one
        self.links |= {link.name: link for link in links}
        if space is not None:
            self.add_service_space(one, space)
        for port in one.ports:
            if network.is_guest(port, self.state.host):
                self.add_guest(one, port)

    def add_service_space(self, one: Network, space: Space) -> None:
        """The namespace of a network's DHCP and metadata, and its dnsmasq when a subnet wants it. Raises ValueError."""
        port = network.dhcp_port(one)
        assert port is not None
        link = network.leg(one, port.id, port.id, up=port.up)
        self.links[link.name] = link
        self.spaces[space.name] = space
        self.listeners[space.name] = Listener(space.name, (one.id,))
        self.ports[port.id] = (space.name, names.inner(port.id))
        if dhcp.served(one):
            service, faults = dhcp.service(one, space.name)
            self.services[service.id] = service
            self.faults |= faults

    def add_guest(self, one: Network, port: Port) -> None:
        """A guest's tap; with rules only when they can be made."""
        try:
            link = network.tap(one, port)
            if port.guarded:
                guard.sending(1, port)
        except ValueError as error:
            self.faults[port.id] = str(error)
            return
        self.links[link.name] = link
        self.guests[port.id] = port
        if port.up:
            self.ports[port.id] = (self.host, link.name)

    def add_router(self, one: Router) -> None:
        """A router's namespace and legs. Raises ValueError."""
        space = router.space(one, self.networks, self.ground)
        links = router.host_links(one, self.networks)
        service = advertising.service(one, self.networks, space.name)
        self.links |= links
        self.spaces[space.name] = space
        if service is not None:
            self.services[service.id] = service
        inside = tuple(leg.network_id for leg in one.ports)
        self.listeners[space.name] = Listener(space.name, inside)
        self.routers[one.id] = space.name
        self.translations[space.name] = one
        if one.up:
            known = [leg for leg in router.legs(one) if leg.network_id in self.networks]
            self.ports |= {leg.port_id: (space.name, names.inner(leg.port_id)) for leg in known}

    def tables(self) -> tuple[Table, ...]:
        """The rules of the host's namespace. Raises ValueError."""
        numbers = names.numbered(self.guests)
        zones = names.numbered(names.bridge(one) for one in self.networks)
        guarded = {key: port for key, port in self.guests.items() if port.guarded}
        members = {
            values.identifier(key): usable(found) for key, found in self.state.members.items()
        }
        served = [
            one
            for one in self.networks.values()
            if names.vxlan(one.id) in self.links and dhcp.served(one)
        ]
        return (
            guard.table(self.guests, numbers, served),
            groups.table(guarded, numbers, self.good_groups(members), members, zones),
        )

    def good_groups(self, members: dict[str, list[str]]) -> dict[str, Group]:
        """The groups with those of their rules that can be made."""
        found: dict[str, Group] = {}
        for group in self.state.groups:
            rules = []
            for rule in group.rules:
                try:
                    groups.match(rule, members)
                except (ValueError, KeyError) as error:
                    self.faults[group.id] = str(error)
                else:
                    rules.append(rule)
            found[values.identifier(group.id)] = msgspec.structs.replace(group, rules=tuple(rules))
        return found


def usable(addresses: Iterable[str]) -> list[str]:
    """Those that are addresses or networks."""
    found = []
    for one in addresses:
        try:
            found.append(values.cidr(one))
        except ValueError:
            continue
    return found


def plan(state: HostState, ground: Ground) -> Plan:
    """Everything that a host should have."""
    draft = Draft(state, ground)
    for one in sorted(state.networks, key=lambda network: network.id):
        try:
            draft.add_network(one)
        except (ValueError, KeyError) as error:
            draft.faults[one.id] = str(error)
    for router_wanted in sorted(state.routers, key=lambda one: one.id):
        try:
            draft.add_router(router_wanted)
        except (ValueError, KeyError) as error:
            draft.faults[router_wanted.id] = str(error)
    host = Space(
        draft.host,
        links=draft.links,
        floods=draft.floods,
        settings=network.HOST_SETTINGS,
        tables=draft.tables(),
    )
    machine = Space(MACHINE, links=draft.machine_links, addresses=draft.machine_addresses)
    return Plan(
        state.version,
        draft.host,
        {draft.host: host, MACHINE: machine, **draft.spaces},
        draft.services,
        draft.listeners,
        draft.ports,
        draft.routers,
        draft.translations,
        draft.physical,
        draft.faults,
    )
