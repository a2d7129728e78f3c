"""A network on a host: its bridge, its way to other hosts or to the machine, and the namespace of its DHCP. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from networkd.plan import answering, names, values
from networkd.plan.ground import Ground
from networkd.plan.plan import BRIDGE, TAP, VETH, VXLAN, Link, Path, Space
from networkd.port import Network, Port

METADATA = "169.254.169.254/32"
SERVICE = "network:"  # how the owners of ports begin that are no guests
SETTINGS = {  # of a namespace that answers but never forwards, and takes no advice
    "ipv4/ip_forward": "0",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/all/autoconf": "0",
    "ipv6/conf/default/autoconf": "0",
}
HOST_SETTINGS = {
    "bridge/bridge-nf-call-iptables": "1",
    "bridge/bridge-nf-call-ip6tables": "1",
    "bridge/bridge-nf-call-arptables": "0",
    "bridge/bridge-nf-filter-vlan-tagged": "0",
    "ipv4/ip_forward": "0",
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv6/conf/lo/disable_ipv6": "0",
}


def mtu(network: Network) -> int:
    """The network's MTU. Raises ValueError."""
    if not 68 <= network.mtu <= 65_535:
        raise ValueError(f"{network.mtu} is no MTU")
    return network.mtu


def is_guest(port: Port, host: str) -> bool:
    """The port is for a guest of this host."""
    return port.host == host and bool(port.owner) and not port.owner.startswith(SERVICE)


def bridge(network: Network) -> Link:
    """The bridge."""
    return Link(names.bridge(network.id), BRIDGE, mtu(network), owner=network.id)


def tap(network: Network, port: Port) -> Link:
    """A guest's interface; down when its port is."""
    return Link(
        names.tap(port.id),
        TAP,
        mtu(network),
        owner=port.id,
        master=names.bridge(network.id),
        up=port.up,
    )


def leg(network: Network, port_id: str, owner: str, *, up: bool = True) -> Link:
    """The bridge's end of a port of ours."""
    return Link(
        names.leg(port_id), VETH, mtu(network), owner=owner, master=names.bridge(network.id), up=up
    )


def tunnel(network: Network, ground: Ground) -> tuple[Link, frozenset[str]] | None:
    """The VXLAN device and the hosts it floods to; None for a network that does not leave its host."""
    if network.kind != "vxlan" or not ground.tunnel_address:
        return None
    if not 1 <= network.number < 1 << 24:
        raise ValueError(f"{network.number} is no number of a VXLAN")
    local = values.address(ground.tunnel_address)
    link = Link(
        names.vxlan(network.id),
        VXLAN,
        mtu(network),
        owner=network.id,
        master=names.bridge(network.id),
        number=network.number,
        local=local,
        device=values.device(ground.tunnel_device) if ground.tunnel_device else "",
        port=ground.tunnel_port,
    )
    return link, frozenset(values.address(one) for one in network.peers) - {local}


def outlet(network: Network, ground: Ground) -> tuple[Link, Link, frozenset[str]] | None:
    """The bridge's end of the way out, the machine's, and the addresses that the machine has there."""
    if network.kind != "flat":
        return None
    inside = names.outlet(network.physical)
    there = ground.bridges.get(network.physical, "")
    near = Link(inside, VETH, mtu(network), owner=network.id, master=names.bridge(network.id))
    far = Link(
        names.outside(ground.host_space, network.physical),
        VETH,
        mtu(network),
        owner=network.id,
        master=values.device(there) if there else "",
        peer=inside,
        peer_space=ground.host_space,
    )
    addresses = frozenset() if there or not network.external else frozenset(_gateways(network))
    return near, far, addresses


def _gateways(network: Network) -> Iterator[str]:
    for subnet in network.subnets:
        if subnet.gateway:
            yield values.interface(f"{subnet.gateway}/{ip_network(subnet.cidr).prefixlen}")


def dhcp_port(network: Network) -> Port | None:
    """The port that DHCP uses on this host."""
    return next((port for port in network.ports if port.id == network.dhcp_port), None)


def service_space(network: Network, ground: Ground) -> Space | None:
    """The namespace of DHCP, name service and metadata. Raises ValueError."""
    port = dhcp_port(network)
    if port is None:
        return None
    name = names.network_space(ground.host_space, network.id)
    device = names.inner(port.id)
    lengths = {subnet.id: ip_network(subnet.cidr).prefixlen for subnet in network.subnets}
    link = Link(
        device,
        VETH,
        mtu(network),
        owner=port.id,
        mac=values.mac(port.mac),
        up=port.up,
        peer=names.leg(port.id),
        peer_space=ground.host_space,
    )
    own = frozenset(
        values.interface(f"{one.address}/{lengths[one.subnet_id]}")
        for one in port.addresses
        if one.subnet_id in lengths
    )
    return Space(
        name,
        owner=network.id,
        links={device: link},
        addresses={device: own, "lo": frozenset({METADATA})},
        paths=frozenset(_default(network, port, device)),
        settings=SETTINGS,
        tables=(answering.table(),),
    )


def _default(network: Network, port: Port, device: str) -> Iterator[Path]:
    """Answers to guests of routed subnets (a name server may be asked from there) go by the gateway."""
    own = {one.subnet_id for one in port.addresses}
    for subnet in network.subnets:
        if subnet.gateway and subnet.ip_version == 4 and subnet.id in own:
            yield Path("0.0.0.0/0", values.address(subnet.gateway), device)
            return
