"""What a host's network agent is told and what it tells: the whole state that a host should have, as plain values. Pure.

The agent asks for it again and again (`GET /network/host/HOST?seen=VERSION&wait_s=S`, which answers when the state differs
from the version seen), makes the host so, and reports (`POST /network/host/HOST`). The state is complete, never a
difference, so an agent that was away needs to know nothing. Both sides are of the role `service`.
"""

from __future__ import annotations

import msgspec

TAP = "tap"  # + the first eleven characters of the port's id: what a guest's interface is called on its host


class Address(msgspec.Struct, frozen=True):
    """An address of a port in one subnet."""

    subnet_id: str
    address: str


class AllowedPair(msgspec.Struct, frozen=True):
    """A source that a port may use beside its own; `cidr` is an address or a network."""

    mac: str
    cidr: str


class DhcpOption(msgspec.Struct, frozen=True):
    """An option of a port for its guest, validated when it was stored (no control characters)."""

    name: str
    value: str
    ip_version: int = 4


class Route(msgspec.Struct, frozen=True):
    """A route by way of an address."""

    destination: str
    nexthop: str


class Subnet(msgspec.Struct, frozen=True):
    """Addresses of a network."""

    id: str
    cidr: str
    ip_version: int
    gateway: str = ""  # none when empty
    dhcp: bool = True
    nameservers: tuple[str, ...] = ()
    routes: tuple[Route, ...] = ()
    ipv6_ra_mode: str = ""  # slaac, dhcpv6-stateful, dhcpv6-stateless
    ipv6_address_mode: str = ""


class Port(msgspec.Struct, frozen=True):
    """An interface on a network. Guests' ports on this host get a tap; all ports are known to DHCP and name service."""

    id: str
    network_id: str
    mac: str
    addresses: tuple[Address, ...] = ()
    owner: str = ""  # device_owner, as the API shows it: compute:nova, network:dhcp, network:router_interface …
    device_id: str = ""
    host: str = ""
    up: bool = True  # admin_state_up
    guarded: bool = True  # port_security_enabled
    pairs: tuple[AllowedPair, ...] = ()
    groups: tuple[str, ...] = ()
    options: tuple[DhcpOption, ...] = ()
    hostname: str = ""


class Network(msgspec.Struct, frozen=True):
    """A layer-2 network that has something on this host."""

    id: str
    kind: str  # vxlan, flat, local
    number: int  # of the VXLAN; 0 for others
    physical: str = ""  # name of the physical network of a flat one
    mtu: int = 1450
    external: bool = False
    project_id: str = ""
    subnets: tuple[Subnet, ...] = ()
    ports: tuple[Port, ...] = ()  # all of the network, wherever they are
    peers: tuple[str, ...] = ()  # tunnel addresses of other hosts that have ports of it
    dhcp_port: str = ""  # id of the port that DHCP, name service and metadata of this host use


class RouterPort(msgspec.Struct, frozen=True):
    """A leg of a router."""

    port_id: str
    network_id: str
    mac: str
    addresses: tuple[tuple[str, int], ...]  # (address, prefix length)
    cidrs: tuple[str, ...] = ()  # of the subnets behind it


class FloatingAddress(msgspec.Struct, frozen=True):
    """An outside address that is translated to an inside one, both ways."""

    id: str
    outside: str
    inside: str


class Forwarding(msgspec.Struct, frozen=True):
    """An outside address and port (range) that is translated to an inside one."""

    id: str
    outside: str
    protocol: str  # tcp, udp
    outside_ports: tuple[int, int]
    inside: str
    inside_ports: tuple[int, int]


class Router(msgspec.Struct, frozen=True):
    """A router that lives on this host."""

    id: str
    up: bool = True
    ports: tuple[RouterPort, ...] = ()
    gateway: RouterPort | None = None
    gateway_addresses: tuple[str, ...] = ()  # next hops of the default routes
    translate: bool = True  # enable_snat
    routes: tuple[Route, ...] = ()
    floating: tuple[FloatingAddress, ...] = ()
    forwardings: tuple[Forwarding, ...] = ()


class Rule(msgspec.Struct, frozen=True):
    """What a security group lets through; empty or 0 is any."""

    direction: str  # ingress, egress
    ethertype: str  # IPv4, IPv6
    protocol: str = ""  # a name of the API or a number
    port_min: int | None = None  # of ICMP: the type
    port_max: int | None = None  # of ICMP: the code
    remote_cidrs: tuple[
        str, ...
    ] = ()  # of a prefix or an address group; with remote_group, its members
    remote_group: str = ""


class Group(msgspec.Struct, frozen=True):
    """A security group that a port of this host has. `members`: addresses of all ports that have it, by version."""

    id: str
    stateful: bool = True
    rules: tuple[Rule, ...] = ()


class HostState(msgspec.Struct, frozen=True):
    """All that a host should have. `members`: addresses and allowed pairs of the groups that rules name as remote."""

    version: str
    host: str
    networks: tuple[Network, ...] = ()
    routers: tuple[Router, ...] = ()
    groups: tuple[Group, ...] = ()
    members: dict[str, tuple[str, ...]] = {}


class HostReport(msgspec.Struct, frozen=True):
    """What an agent has done. Ports are those of this host that are wired; every other one of it is down."""

    version: str  # of the state that this is about
    tunnel_address: str = ""
    ports: tuple[str, ...] = ()
    routers: tuple[str, ...] = ()
    physical: dict[str, str] = {}  # physical network: its bridge here
    faults: dict[str, str] = {}  # id of what could not be made: why


def tap_name(port_id: str) -> str:
    """Name of a guest's interface on its host."""
    return TAP + port_id[:11]
