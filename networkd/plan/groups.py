"""Security groups as rules of the kernel. Pure.

One table of the inet family in the host's namespace. Packets that pass a bridge come here with the marks of `guard`; what a port
sends is judged by the chain `egress`, what it is sent by `ingress`. Answers of a tracked connection pass; packets in a connection's own
direction are judged by the rules every time, so that a rule which is taken away ends the connections that it allowed. Each network
has a zone of its own, so that equal addresses of two tenants are never one connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from networkd.plan import names, values
from networkd.plan.guard import one_of
from networkd.plan.plan import Table
from networkd.port import Group, Port, Rule

FAMILY, NAME = "inet", "rs_groups"
SENT, RECEIVED = "egress", "ingress"
SIDES = {SENT: "e", RECEIVED: "i"}
FAR = {SENT: "daddr", RECEIVED: "saddr"}
VERSIONS = {"IPv4": 4, "IPv6": 6}
PROTOCOLS = {
    "ah": 51,
    "dccp": 33,
    "egp": 8,
    "esp": 50,
    "gre": 47,
    "hopopt": 0,
    "icmp": 1,
    "icmpv6": 58,
    "igmp": 2,
    "ip": 0,
    "ipip": 4,
    "ipv6-encap": 41,
    "ipv6-frag": 44,
    "ipv6-icmp": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ipv6-route": 43,
    "ospf": 89,
    "pgm": 113,
    "rsvp": 46,
    "sctp": 132,
    "tcp": 6,
    "udp": 17,
    "udplite": 136,
    "vrrp": 112,
}
WITH_PORTS = frozenset({6, 17, 33, 132, 136})
IN_HEADERS = frozenset({0, 43, 44, 60})  # extension headers of IPv6: not what is inside them
ALWAYS = {
    # what makes addresses work at all; forged ones do not get this far
    SENT: (
        "udp sport 68 udp dport 67 accept",
        "udp sport 546 udp dport 547 accept",
        "icmpv6 type { 130, 131, 132, 133, 135, 136, 143 } accept",
    ),
    RECEIVED: (
        "udp sport 67 udp dport 68 accept",
        "udp sport 547 udp dport 546 accept",
        "icmpv6 type { 130, 131, 132, 134, 135, 136, 143 } accept",
    ),
}


def protocol_number(rule: Rule) -> int | None:
    """A rule's protocol; None for any. Of IPv6, `icmp` is ICMPv6. Raises ValueError."""
    name = rule.protocol.lower()
    if name in {"", "any"}:
        return None
    number = int(name) if name.isdigit() else PROTOCOLS.get(name, -1)
    if not 0 <= number <= 255:
        raise ValueError(f"{rule.protocol[:80]!r} is no protocol")
    return 58 if number == 1 and rule.ethertype == "IPv6" else number


def _bounded(value: int, most: int) -> int:
    if not 0 <= value <= most:
        raise ValueError(f"{value} is not within 0 and {most}")
    return value


def _protocol(rule: Rule) -> str:
    number = protocol_number(rule)
    if number is None:
        return ""
    low, high = rule.port_min, rule.port_max
    if number in IN_HEADERS and rule.ethertype == "IPv6":
        return f"ip6 nexthdr {number} "
    text = f"meta l4proto {number} "
    if number in WITH_PORTS and (low is not None or high is not None):
        first = _bounded(0 if low is None else low, 65_535)
        last = _bounded(65_535 if high is None else high, 65_535)
        if first > last:
            raise ValueError(f"{first} to {last} is no range")
        text += f"th dport {first}-{last} " if first < last else f"th dport {first} "
    elif number in {1, 58} and low is not None:
        kind = "icmp" if number == 1 else "icmpv6"
        text += f"{kind} type {_bounded(low, 255)} "
        if high is not None:
            text += f"{kind} code {_bounded(high, 255)} "
    return text


def members_set(group_id: str, version: int) -> str:
    """The name of the set of a remote group's addresses."""
    return f"m{version}_{names.symbol(group_id)}"


def match(rule: Rule, members: Mapping[str, Iterable[str]]) -> str | None:
    """A rule as a match; None when it lets nothing through. Raises ValueError."""
    version = VERSIONS.get(rule.ethertype)
    if version is None:
        raise ValueError(f"{rule.ethertype[:80]!r} is no ethertype")
    family = "ip" if version == 4 else "ip6"
    text = f"meta nfproto ipv{version} "
    far = f"{family} {FAR[rule.direction]} "
    if rule.remote_group:
        if not values.collapsed(members.get(rule.remote_group, ()), version):
            return None
        text += f"{far}@{members_set(rule.remote_group, version)} "
    elif rule.remote_cidrs:
        networks = values.collapsed(rule.remote_cidrs, version)
        if not networks:
            return None
        if values.length(networks[0]):
            text += f"{far}{one_of(networks)} "
    return text + _protocol(rule)


def group_chain(group: Group, side: str, members: Mapping[str, Iterable[str]]) -> list[str]:
    """The chain of one direction of a group. Raises ValueError."""
    found = {match(rule, members) for rule in group.rules if rule.direction == side}
    lines = sorted(f"{one}accept" for one in found if one is not None)
    return [f"chain g{SIDES[side]}_{names.symbol(group.id)} {{", *lines, "}"]


def port_chain(number: int, side: str, groups: list[Group]) -> list[str]:
    """The chain of one direction of a port."""
    lines = [f"chain {SIDES[side]}_{number} {{"]
    if all(group.stateful for group in groups):
        lines += ["ct direction reply ct state established accept", "ct state related accept"]
        lines.append("ct state invalid drop")
    lines += ALWAYS[side]
    lines += [f"jump g{SIDES[side]}_{names.symbol(group.id)}" for group in groups]
    return [*lines, "drop", "}"]


def _sets(rules: Iterable[Rule], members: Mapping[str, Iterable[str]]) -> list[str]:
    lines = []
    for group_id in sorted({rule.remote_group for rule in rules if rule.remote_group}):
        for version, kind in ((4, "ipv4_addr"), (6, "ipv6_addr")):
            networks = values.collapsed(members.get(group_id, ()), version)
            if networks:
                content = ", ".join(networks)
                lines.append(
                    f"set {members_set(group_id, version)} "
                    f"{{ type {kind}; flags interval; elements = {{ {content} }}; }}"
                )
    return lines


def table(
    ports: Mapping[str, Port],
    numbers: Mapping[str, int],
    groups: Mapping[str, Group],
    members: Mapping[str, Iterable[str]],
    zones: Mapping[str, int],
) -> Table:
    """The whole table: guarded ports by id with their numbers, groups and members by id, zones by bridge. Raises ValueError."""
    lines = _sets((rule for group in groups.values() for rule in group.rules), members)
    for _, group in sorted(groups.items()):
        lines += group_chain(group, SENT, members) + group_chain(group, RECEIVED, members)
    sent, received = [], []
    for port_id, port in sorted(ports.items()):
        number = numbers[port_id]
        own = [groups[one] for one in sorted(set(port.groups)) if one in groups]
        lines += port_chain(number, SENT, own) + port_chain(number, RECEIVED, own)
        sent.append(f"{number << 16:#010x} : jump e_{number}")
        received.append(f"{number:#010x} : jump i_{number}")
    zone_lines = [
        f'iifname "{bridge}" ct zone set {zone}' for bridge, zone in sorted(zones.items())
    ]
    lines += [
        "chain zones { type filter hook prerouting priority -300; policy accept;",
        *zone_lines,
        "}",
        _judged(SENT, -1, "0xffff0000", sent),
        _judged(RECEIVED, 0, "0x0000ffff", received),
        'chain input { type filter hook input priority 0; policy accept; iifname "br*" drop; }',
    ]
    return Table(FAMILY, NAME, "\n".join(lines))


def _judged(side: str, priority: int, mask: str, elements: list[str]) -> str:
    content = f"elements = {{ {', '.join(elements)} }}; " if elements else ""
    return (
        f"map {side}_ports {{ type mark : verdict; {content}}}\n"
        f"chain {side} {{ type filter hook forward priority {priority}; policy accept;\n"
        f"meta mark & {mask} vmap @{side}_ports\n}}"
    )
