"""Rules of security groups: which combinations make sense. Pure.

A rule speaks of one direction, one version of IP, perhaps a protocol with its ports (of ICMP: type and code), and perhaps one
remote: a prefix, another group or a group of addresses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from networkd.fault import NetworkFault, bad
from networkd.values import integer, wrong

NUMBERS: Mapping[str, int] = {
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
WITH_PORTS = frozenset({"tcp", "udp", "sctp", "dccp", "udplite", "6", "17", "132", "33", "136"})
ICMP = frozenset({"icmp", "icmpv6", "ipv6-icmp", "1", "58"})
ICMP_V6 = frozenset({"icmpv6", "ipv6-icmp", "58"})
ONLY_V6 = frozenset(
    {"41", "43", "44", "58", "59", "60"}
    | {"icmpv6", "ipv6-encap", "ipv6-frag", "ipv6-icmp", "ipv6-nonxt", "ipv6-opts", "ipv6-route"}
)
SAME = (
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_ip_prefix",
)
SAME_ALL = (*SAME, "remote_group_id", "remote_address_group_id")


def protocol(value: Any, name: str) -> str | None:
    """A protocol's name or number as text; None for any. Raises Fault 400."""
    if value is None or (isinstance(value, str) and value in {"", "any"}):
        return None
    text = (
        str(value).lower() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    )
    if text in NUMBERS or (text.isascii() and text.isdigit() and len(text) < 4 and int(text) < 256):
        return text
    del name
    raise bad(
        f"Security group rule protocol {str(value)[:80]} not supported. Only protocol values"
        f" {sorted(NUMBERS)} and integer representations [0 to 255] are supported.",
        "SecurityGroupRuleInvalidProtocol",
    )


def port_value(value: Any, name: str) -> int | None:
    """A port, or a type or code of ICMP. Raises Fault 400."""
    if value is None:
        return None
    try:
        return int(integer(0, 65_535)(value, name))
    except NetworkFault:
        raise _bad("InvalidPortValue", f"Invalid value for port {str(value)[:80]}") from None


def ethertype(value: Any, name: str) -> str:
    """`IPv4` or `IPv6`, in any case. Raises Fault 400."""
    found = {"ipv4": "IPv4", "ipv6": "IPv6"}.get(value.lower()) if isinstance(value, str) else None
    if found is None:
        del name
        raise bad(
            f"Security group rule for ethertype '{str(value)[:80]}' not supported. Allowed values are"
            " ['IPv4', 'IPv6'].",
            "SecurityGroupRuleInvalidEtherType",
        )
    return found


def prefix(value: Any, name: str) -> str | None:
    """A prefix; an address is one of full length. Raises Fault 400."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and "%" not in value:
        try:
            net = ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise wrong(name, value, "is not a valid CIDR") from None
        return value if "/" in value else str(net)
    raise wrong(name, value, "is not a valid CIDR")


def normal(text: str | None) -> str | None:
    """A prefix without host bits."""
    return None if text is None else str(ipaddress.ip_network(text, strict=False))


def check(rule: Mapping[str, Any]) -> None:
    """Raise Fault 400 for a rule whose parts do not go together."""
    kind = rule["protocol"]
    version = 4 if rule["ethertype"] == "IPv4" else 6
    if kind in ONLY_V6 and version == 4:
        raise _bad(
            "EthertypeConflictWithProtocol",
            f"Invalid ethertype {rule['ethertype']} for protocol {kind}.",
        )
    remotes = [
        name
        for name in ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")
        if rule[name] is not None
    ]
    if len(remotes) > 1:
        raise _bad("MultipleRemoteEntities", f"Only one of {', '.join(remotes)} may be given.")
    if rule["remote_ip_prefix"] is not None:
        net = ipaddress.ip_network(rule["remote_ip_prefix"], strict=False)
        if net.version != version:
            raise _bad(
                "RuleParameterConflict",
                f"Conflicting value ethertype {rule['ethertype']} for CIDR {rule['remote_ip_prefix']}",
            )
    _check_ports(kind, rule["port_range_min"], rule["port_range_max"])


def _check_ports(kind: str | None, low: int | None, high: int | None) -> None:
    if low is None and high is None:
        return
    if kind is None:
        raise _bad(
            "ProtocolRequiredWithPorts", "Must also specify protocol if port range is given."
        )
    if kind in ICMP:
        _check_icmp(low, high)
    elif kind not in WITH_PORTS:
        raise _bad(
            "InvalidProtocolForPort",
            f"Invalid protocol {kind} for port range, only supported for TCP, UDP, UDPLITE, SCTP and DCCP.",
        )
    elif low is None or high is None or low > high:
        raise _bad(
            "InvalidPortRange", "For TCP/UDP protocols, port_range_min must be <= port_range_max"
        )
    elif low == 0:
        raise _bad("InvalidPortValue", "Invalid value for port 0")


def _check_icmp(low: int | None, high: int | None) -> None:
    for name, value in (("type (port-range-min)", low), ("code (port-range-max)", high)):
        if value is not None and value > 255:
            raise _bad(
                "InvalidIcmpValue",
                f"Invalid value for ICMP {name} {value}. It must be 0 to 255.",
            )
    if low is None:
        raise _bad(
            "MissingIcmpType",
            f"ICMP code (port-range-max) {high} is provided but ICMP type (port-range-min) is missing.",
        )


def _bad(kind: str, message: str) -> NetworkFault:
    return bad(message, f"SecurityGroup{kind}")


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two rules of a group say the same."""
    return all(_shape(name, one[name]) == _shape(name, other[name]) for name in SAME_ALL)


def _shape(name: str, value: Any) -> Any:
    if name == "remote_ip_prefix":
        found = normal(value)
        return None if found in {"0.0.0.0/0", "::/0"} else found
    if name == "protocol" and value in NUMBERS:
        return str(NUMBERS[value])
    return value
