"""The whole state that a host should have, composed from rows. Pure.

Equal rows give an equal state with an equal version, whatever their order, so a host whose state has not changed is not
bothered, and a restart on either side does no harm.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from networkd.addresses import Choice
from networkd.port import (
    Address,
    AllowedPair,
    DhcpOption,
    FloatingAddress,
    Forwarding,
    Group,
    HostState,
    Network,
    Port,
    Route,
    Router,
    RouterPort,
    Rule,
    Subnet,
)

Row = Mapping[str, Any]
DHCP = "network:dhcp"
INTERFACE = "network:router_interface"
GATEWAY = "network:router_gateway"


class Rows(NamedTuple):
    """What a host's state is made of: rows by id, and what belongs to them."""

    networks: Mapping[str, Row]
    subnets: Mapping[str, Row]
    ports: Mapping[str, Row]  # all of the networks
    addresses: Mapping[str, list[Choice]]  # by port
    port_groups: Mapping[str, list[str]]  # by port
    routers: Mapping[str, Row]  # of the host
    floating: Iterable[Row]  # of these routers
    forwardings: Iterable[Row]  # with `outside`, their floating address, and its `router_id`
    groups: Mapping[str, Row]
    rules: Mapping[str, Sequence[Row]]  # by group
    address_groups: Mapping[str, Row]
    members: Mapping[str, tuple[str, ...]]  # addresses by group
    tunnels: Mapping[str, str]  # tunnel addresses by host


def compose(host: str, rows: Rows) -> HostState:
    """The state of a host, with its version."""
    state = HostState(
        "",
        host,
        tuple(_network(host, rows, rows.networks[name]) for name in sorted(rows.networks)),
        tuple(_router(rows, rows.routers[name]) for name in sorted(_used(rows))),
        tuple(_group(rows, rows.groups[name]) for name in sorted(rows.groups)),
        {name: tuple(sorted(rows.members[name])) for name in sorted(rows.members)},
    )
    digest = hashlib.sha256(msgspec.json.encode(state)).hexdigest()[:32]
    return msgspec.structs.replace(state, version=digest)


def _used(rows: Rows) -> set[str]:
    """Routers with a leg; the others need nothing of a host."""
    return rows.routers.keys() & {port["device_id"] for port in rows.ports.values()}


def _network(host: str, rows: Rows, row: Row) -> Network:
    ports = [
        rows.ports[name]
        for name in sorted(rows.ports)
        if rows.ports[name]["network_id"] == row["id"]
    ]
    subnets = [
        rows.subnets[name]
        for name in sorted(rows.subnets)
        if rows.subnets[name]["network_id"] == row["id"]
    ]
    elsewhere = {port["host"] for port in ports} - {host, ""}
    own = [port["id"] for port in ports if port["device_owner"] == DHCP and port["host"] == host]
    return Network(
        id=row["id"],
        kind=row["kind"],
        number=row["number"] or 0,
        physical=row["physical"],
        mtu=row["mtu"],
        external=row["external"],
        project_id=row["project_id"],
        subnets=tuple(map(_subnet, subnets)),
        ports=tuple(_port(rows, port) for port in ports),
        peers=tuple(sorted(rows.tunnels[name] for name in elsewhere if rows.tunnels.get(name))),
        dhcp_port=own[0] if own else "",
    )


def _subnet(row: Row) -> Subnet:
    return Subnet(
        id=row["id"],
        cidr=row["cidr"],
        ip_version=row["ip_version"],
        gateway=row["gateway_ip"] or "",
        dhcp=row["enable_dhcp"],
        nameservers=tuple(row["dns_nameservers"]),
        routes=_routes(row["host_routes"]),
        ipv6_ra_mode=row["ipv6_ra_mode"] or "",
        ipv6_address_mode=row["ipv6_address_mode"] or "",
    )


def _routes(found: Iterable[Row]) -> tuple[Route, ...]:
    pairs = sorted((one["destination"], one["nexthop"]) for one in found)
    return tuple(Route(destination, nexthop) for destination, nexthop in pairs)


def _port(rows: Rows, row: Row) -> Port:
    return Port(
        id=row["id"],
        network_id=row["network_id"],
        mac=row["mac_address"],
        addresses=tuple(
            Address(one.subnet_id, one.address) for one in rows.addresses.get(row["id"], ())
        ),
        owner=row["device_owner"],
        device_id=row["device_id"],
        host=row["host"],
        up=row["admin_state_up"],
        guarded=row["port_security_enabled"],
        pairs=tuple(
            AllowedPair(pair["mac_address"], pair["ip_address"])
            for pair in row["allowed_address_pairs"]
        ),
        groups=tuple(sorted(rows.port_groups.get(row["id"], ()))),
        options=tuple(
            DhcpOption(one["opt_name"], one["opt_value"], int(one["ip_version"]))
            for one in row["extra_dhcp_opts"]
        ),
        hostname=row["dns_name"],
    )


def _leg(rows: Rows, row: Row) -> RouterPort:
    choices = rows.addresses.get(row["id"], ())
    cidrs = [rows.subnets[one.subnet_id]["cidr"] for one in choices]
    lengths = [ipaddress.ip_network(cidr).prefixlen for cidr in cidrs]
    return RouterPort(
        port_id=row["id"],
        network_id=row["network_id"],
        mac=row["mac_address"],
        addresses=tuple((one.address, bits) for one, bits in zip(choices, lengths, strict=True)),
        cidrs=tuple(sorted(set(cidrs))),
    )


def _router(rows: Rows, row: Row) -> Router:
    legs = [
        rows.ports[name]
        for name in sorted(rows.ports)
        if rows.ports[name]["device_id"] == row["id"]
    ]
    outer = next((one for one in legs if one["device_owner"] == GATEWAY), None)
    hops = []
    if outer is not None:
        for choice in rows.addresses.get(outer["id"], ()):
            hop = rows.subnets[choice.subnet_id]["gateway_ip"]
            if hop is not None and hop not in hops:
                hops.append(hop)
    return Router(
        id=row["id"],
        up=row["admin_state_up"],
        ports=tuple(_leg(rows, one) for one in legs if one["device_owner"] == INTERFACE),
        gateway=None if outer is None else _leg(rows, outer),
        gateway_addresses=tuple(hops),
        translate=row["enable_snat"],
        routes=_routes(row["routes"]),
        floating=tuple(
            FloatingAddress(one["id"], one["floating_ip_address"], one["fixed_ip_address"])
            for one in sorted(rows.floating, key=lambda one: str(one["id"]))
            if one["router_id"] == row["id"] and one["fixed_ip_address"]
        ),
        forwardings=tuple(
            Forwarding(
                one["id"],
                one["outside"],
                one["protocol"],
                (one["external_first"], one["external_last"]),
                one["internal_ip_address"],
                (one["internal_first"], one["internal_last"]),
            )
            for one in sorted(rows.forwardings, key=lambda one: str(one["id"]))
            if one["router_id"] == row["id"]
        ),
    )


def _group(rows: Rows, row: Row) -> Group:
    rules = sorted(rows.rules.get(row["id"], ()), key=lambda one: str(one["id"]))
    return Group(
        id=row["id"], stateful=row["stateful"], rules=tuple(_rule(rows, one) for one in rules)
    )


def _rule(rows: Rows, row: Row) -> Rule:
    version = 4 if row["ethertype"] == "IPv4" else 6
    cidrs: list[str] = []
    if row["remote_ip_prefix"] is not None:
        cidrs = [str(ipaddress.ip_network(row["remote_ip_prefix"], strict=False))]
    group = rows.address_groups.get(row["remote_address_group_id"] or "")
    remote = row["remote_group_id"] or ""
    if group is not None:
        cidrs = sorted(
            cidr for cidr in group["addresses"] if ipaddress.ip_network(cidr).version == version
        )
        if not cidrs:  # nobody is in it, which is not the same as anybody
            remote = group["id"]
    return Rule(
        direction=row["direction"],
        ethertype=row["ethertype"],
        protocol=row["protocol"] or "",
        port_min=row["port_range_min"],
        port_max=row["port_range_max"],
        remote_cidrs=tuple(cidrs),
        remote_group=remote,
    )
