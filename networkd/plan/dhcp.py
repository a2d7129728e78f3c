"""The files of a network's dnsmasq: fixed addresses by MAC, options, names. Pure.

Every value is checked again on its way into a file (CVE-2021-40085); an option that does not pass is left out. Addresses
and names are in files that dnsmasq reads again when it is told; ranges are in its configuration, with which it is started.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from networkd.plan import names, values
from networkd.plan.plan import Service
from networkd.port import Network, Port, Subnet

DOMAIN = "openstacklocal"
LEASE_S = 86_400
METADATA = "169.254.169.254/32"
ANY = {4: "0.0.0.0/0", 6: "::/0"}
BY_DHCP = frozenset({"dhcpv6-stateful", "dhcpv6-stateless"})
NONE = "0.0.0.0"  # noqa: S104 - of a name server: there shall be none


def tag(identity: str) -> str:
    """What a line of one subnet or port is recognised by."""
    return f"t-{values.identifier(identity)}"


def host_name(port: Port, address: str) -> str:
    """A port's own name, or one made from an address."""
    if port.hostname:
        return values.label(port.hostname)
    return "host-" + values.address(address).replace(".", "-").replace(":", "-").strip("-")


def assigns(subnet: Subnet) -> bool:
    """Its addresses are given by DHCP."""
    if subnet.ip_version == 4:
        return subnet.dhcp
    return subnet.dhcp and subnet.ipv6_address_mode == "dhcpv6-stateful"


def answers(subnet: Subnet) -> bool:
    """DHCP says something on it."""
    return subnet.dhcp and (subnet.ip_version == 4 or subnet.ipv6_address_mode in BY_DHCP)


def own_addresses(network: Network) -> dict[str, str]:
    """Addresses of the port that DHCP uses here, by subnet."""
    for port in network.ports:
        if port.id == network.dhcp_port:
            return {one.subnet_id: values.address(one.address) for one in port.addresses}
    return {}


def served(network: Network) -> list[Subnet]:
    """The subnets that this host's dnsmasq answers on."""
    own = own_addresses(network)
    return [subnet for subnet in network.subnets if answers(subnet) and subnet.id in own]


def ranges(network: Network) -> Iterator[str]:
    """The subnets as ranges in which every address is somebody's."""
    for subnet in served(network):
        parsed = ip_network(subnet.cidr)
        last = str(parsed.netmask) if parsed.version == 4 else str(max(parsed.prefixlen, 64))
        yield f"dhcp-range=set:{tag(subnet.id)},{parsed.network_address},static,{last},{LEASE_S}s"


def host_lines(network: Network, port: Port) -> Iterator[str]:
    """What dnsmasq hands out to one port."""
    subnets = {subnet.id: subnet for subnet in served(network) if assigns(subnet)}
    for one in port.addresses:
        subnet = subnets.get(one.subnet_id)
        if subnet is None:
            continue
        address = values.address(one.address)
        given = address if subnet.ip_version == 4 else f"[{address}]"
        yield f"{values.mac(port.mac)},{host_name(port, address)}.{DOMAIN},{given}"


def name_lines(port: Port) -> Iterator[str]:
    """The names of one port."""
    for one in port.addresses:
        name = host_name(port, one.address)
        yield f"{values.address(one.address)}\t{name}.{DOMAIN} {name}"


def port_options(port: Port) -> Iterator[str]:
    """The options that a port's owner wants for its guest."""
    for one in port.options:
        name, value = values.option_name(one.name), values.option_value(one.value)
        kind = "option6" if one.ip_version == 6 else "option"
        number = name if name.isdigit() and one.ip_version == 4 else f"{kind}:{name}"
        yield f"tag:{tag(port.id)},{number},{value}" if value else f"tag:{tag(port.id)},{number}"


def _four(subnet: Subnet, own: str) -> Iterator[str]:
    mark = f"tag:{tag(subnet.id)}"
    gateway = values.address(subnet.gateway) if subnet.gateway else ""
    yield f"{mark},option:router,{gateway}" if gateway else f"{mark},option:router"
    servers = [values.address(one) for one in subnet.nameservers] or [own]
    yield (
        f"{mark},option:dns-server"
        if servers == [NONE]
        else f"{mark},option:dns-server,{','.join(servers)}"
    )
    routes = [(METADATA, own)]
    routes += [(values.cidr(one.destination), values.address(one.nexthop)) for one in subnet.routes]
    if gateway and all(destination != ANY[4] for destination, _ in routes):
        routes.append((ANY[4], gateway))
    text = ",".join(f"{destination},{via}" for destination, via in routes)
    yield f"{mark},option:classless-static-route,{text}"
    yield f"{mark},249,{text}"


def _six(subnet: Subnet, own: str) -> Iterator[str]:
    servers = [values.address(one) for one in subnet.nameservers] or [own]
    yield f"tag:{tag(subnet.id)},option6:dns-server,{','.join(f'[{one}]' for one in servers)}"
    yield f"tag:{tag(subnet.id)},option6:domain-search,{DOMAIN}"


def subnet_options(network: Network) -> Iterator[str]:
    """What every guest of the network's subnets is told. An address 0.0.0.0 of a name server means none, as in Neutron."""
    own = own_addresses(network)
    for subnet in served(network):
        yield from (_four if subnet.ip_version == 4 else _six)(subnet, own[subnet.id])


def service(network: Network, space: str) -> tuple[Service, dict[str, str]]:
    """A network's dnsmasq, and what could not be put into its files by id of the port. Raises ValueError."""
    hosts: list[str] = []
    options = list(subnet_options(network))
    marks: list[str] = []
    listed: list[str] = []
    leases: set[tuple[str, str]] = set()
    faults: dict[str, str] = {}
    for port in sorted(network.ports, key=lambda one: one.id):
        try:
            lines = list(host_lines(network, port))
            own_names = list(name_lines(port))
        except ValueError as error:
            faults[port.id] = str(error)
            continue
        hosts += lines
        listed += own_names
        leases |= {(values.mac(port.mac), values.address(one.address)) for one in port.addresses}
        try:
            own_options = list(port_options(port))
        except ValueError as error:
            faults[port.id] = str(error)
            continue
        if own_options:
            options += own_options
            # not as `set:` in the file of hosts, where dnsmasq 2.90 dies of it when it reads the file again
            marks.append(f"dhcp-mac=set:{tag(port.id)},{values.mac(port.mac)}")
    config = (
        f"interface={names.inner(network.dhcp_port)}",
        f"domain={DOMAIN}",
        f"local=/{DOMAIN}/",  # what is not in the file does not exist, rather than being refused
        "local=//",
        "dhcp-authoritative",
        f"dhcp-option-force=option:mtu,{int(network.mtu)}",
        f"dhcp-lease-max={max(1000, 2 * len(network.ports))}",
        *ranges(network),
        *marks,
    )
    files = {"hosts": _text(hosts), "options": _text(options), "names": _text(listed)}
    return Service(network.id, space, config, files, frozenset(leases)), faults


def _text(lines: list[str]) -> str:
    assert not any("\n" in line or "\r" in line for line in lines)
    return "".join(f"{line}\n" for line in lines)
