"""A router's advertisements (RFC 4861): a dnsmasq in its namespace that does nothing else. Pure.

The router advertises, not the network's DHCP, because an advertisement's sender is the default gateway. With addresses by
DHCP dnsmasq would also answer DHCP here, so the router's rules keep such requests from it.
"""

from __future__ import annotations

from ipaddress import ip_network

from networkd.plan import names
from networkd.plan.plan import Service
from networkd.port import Network, Router

MODES = {"slaac": "ra-only", "dhcpv6-stateless": "ra-stateless", "dhcpv6-stateful": "static"}


def service(router: Router, networks: dict[str, Network], space: str) -> Service | None:
    """The advertisements of a router's legs; None when no subnet wants any. Raises ValueError."""
    lines: list[str] = []
    for leg in router.ports:
        network = networks.get(leg.network_id)
        if network is None:
            continue
        found = [
            f"dhcp-range={parsed.network_address},{MODES[subnet.ipv6_ra_mode]},{parsed.prefixlen},1800s"
            for subnet in network.subnets
            if subnet.cidr in leg.cidrs and subnet.ipv6_ra_mode in MODES
            for parsed in [ip_network(subnet.cidr)]
            if parsed.version == 6
        ]
        if found:
            device = names.inner(leg.port_id)
            lines += [
                f"interface={device}",
                f"ra-param={device},mtu:{int(network.mtu)},10,1800",
                *found,
            ]
    if not lines:
        return None
    return Service(router.id, space, ("port=0", "enable-ra", *lines), {})
