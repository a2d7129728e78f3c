"""What a guest may send on its network, and how its packets are marked for the security groups. Pure.

One table of the bridge family in the host's namespace, ahead of br_netfilter, which hands IP packets to the inet family where
connections are tracked. A frame of a guarded port is ARP, IPv4 or IPv6 of its own addresses and allowed pairs, or it is dropped;
router advertisements, redirects and answers of DHCP servers never pass. The upper half of a packet's mark says which port sent it,
the lower which one it goes to. A tap without rules passes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network

from networkd.plan import names, values
from networkd.plan.plan import Table
from networkd.port import Network, Port

FAMILY, NAME = "bridge", "rs_guard"
UNSPECIFIED = "0.0.0.0"  # noqa: S104 - the source of a DHCP client, not a listener
UNADDRESSED = (  # what a host may say before it has an address
    "{ nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld2-listener-report }"
)
PREAMBLE = """
chain prerouting { type filter hook prerouting priority -350; policy accept;
  meta mark set 0
  iifname vmap @senders
  iifname "tap*" drop
}
chain forward { type filter hook forward priority -350; policy accept;
  meta mark set meta mark & 0xffff0000
  oifname vmap @receivers
  oifname vmap @tunnels
}
chain client { udp sport 68 udp dport 67 drop
}
"""


def sources(port: Port) -> dict[str, list[str]]:
    """What a port may send from: networks by MAC address. Raises ValueError."""
    own = values.mac(port.mac)
    found = {own: [values.cidr(one.address) for one in port.addresses]}
    for pair in port.pairs:
        found.setdefault(values.mac(pair.mac or own), []).append(values.cidr(pair.cidr))
    return found


def one_of(networks: list[str]) -> str:
    """The right side of a comparison with networks."""
    return networks[0] if len(networks) == 1 else "{ " + ", ".join(networks) + " }"


def _arp(number: int, allowed: Mapping[str, list[str]]) -> list[str]:
    lines = [f"chain a_{number} {{", "arp htype != 1 drop", "arp ptype != 0x0800 drop"]
    for mac, networks in allowed.items():
        addresses = one_of(values.collapsed([*networks, UNSPECIFIED], 4))
        lines.append(
            f"ether saddr {mac} arp saddr ether {mac} arp saddr ip {addresses} goto m_{number}"
        )
    return [*lines, "drop", "}"]


def _four(number: int, allowed: Mapping[str, list[str]]) -> list[str]:
    lines = [f"chain f_{number} {{", "udp sport 67 udp dport 68 drop"]
    for mac, networks in allowed.items():
        addresses = values.collapsed(networks, 4)
        if addresses:
            lines.append(f"ether saddr {mac} ip saddr {one_of(addresses)} goto m_{number}")
        lines.append(
            f"ether saddr {mac} ip saddr {UNSPECIFIED} udp sport 68 udp dport 67 goto m_{number}"
        )
    return [*lines, "drop", "}"]


def neighbour_target(network: str) -> str:
    """A match of the target of a neighbour advertisement (RFC 4861 section 4.4), which lies eight bytes into ICMPv6."""
    parsed = ip_network(network)
    if not parsed.prefixlen:
        return ""
    value = int(parsed.network_address) >> (128 - parsed.prefixlen)
    return f"@th,64,{parsed.prefixlen} {value:#x} "


def _six(number: int, allowed: Mapping[str, list[str]]) -> list[str]:
    lines = [
        f"chain s_{number} {{",
        "icmpv6 type { nd-router-advert, nd-redirect } drop",
        "udp sport 547 udp dport 546 drop",
    ]
    for mac, networks in allowed.items():
        local = values.link_local(mac) + "/128"
        lines += [
            f"ether saddr {mac} icmpv6 type nd-neighbor-advert {neighbour_target(one)}goto n_{number}"
            for one in values.collapsed([*networks, local], 6)
        ]
    lines.append("icmpv6 type nd-neighbor-advert drop")
    lines += [f"goto n_{number}", "}", f"chain n_{number} {{"]
    for mac, networks in allowed.items():
        local = values.link_local(mac) + "/128"
        addresses = one_of(values.collapsed([*networks, local], 6))
        lines += [
            f"ether saddr {mac} ip6 saddr {addresses} goto m_{number}",
            f"ether saddr {mac} ip6 saddr :: icmpv6 type {UNADDRESSED} goto m_{number}",
        ]
    return [*lines, "drop", "}"]


def sending(number: int, port: Port) -> list[str]:
    """The chains that a guarded port's frames pass."""
    allowed = sources(port)
    marking = [f"chain m_{number} {{", f"meta mark set {number << 16:#010x} accept", "}"]
    choice = (
        f"ether type vmap {{ arp : goto a_{number}, ip : goto f_{number}, ip6 : goto s_{number} }}"
    )
    entry = [f"chain p_{number} {{", choice, "drop", "}"]
    return [
        *marking,
        *_arp(number, allowed),
        *_four(number, allowed),
        *_six(number, allowed),
        *entry,
    ]


def receiving(number: int, port: Port) -> list[str]:
    """The chain of frames that go to a guarded port: nobody else's, and nothing that the groups cannot see."""
    macs = one_of(sorted(sources(port)))
    return [
        f"chain t_{number} {{",
        f"ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 ether daddr != {macs} drop",
        "ether type != { arp, ip, ip6 } drop",
        f"meta mark set meta mark | {number:#010x}",
        "accept",
        "}",
    ]


def _map(name: str, elements: Iterable[tuple[str, str]]) -> list[str]:
    content = ", ".join(f'"{device}" : {verdict}' for device, verdict in elements)
    inside = f"elements = {{ {content} }}; " if content else ""
    return [f"map {name} {{ type ifname : verdict; {inside}}}"]


def table(ports: Mapping[str, Port], numbers: Mapping[str, int], served: list[Network]) -> Table:
    """The whole table: guests' ports of a host with their numbers, and networks that have DHCP here.

    What a client asks of DHCP stays on its host, where it is answered. Raises ValueError.
    """
    lines: list[str] = []
    senders, receivers = [], []
    for port_id, port in sorted(ports.items()):
        number = numbers[port_id]
        device = names.tap(port_id)
        if port.guarded:
            lines += sending(number, port) + receiving(number, port)
            senders.append((device, f"jump p_{number}"))
            receivers.append((device, f"goto t_{number}"))
        else:
            senders.append((device, "accept"))
    tunnels = [(names.vxlan(network.id), "goto client") for network in served]
    maps = (
        _map("senders", senders) + _map("receivers", receivers) + _map("tunnels", sorted(tunnels))
    )
    return Table(FAMILY, NAME, "\n".join([*maps, *lines]) + PREAMBLE)
