"""Values that reach a device, a rule or a file: each is checked again where it is used. Pure.

They come from our own API, which has checked them; a line break that slipped through would still be a line of somebody's
configuration. A bad value raises ValueError, and what it belongs to is left out and reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import (
    IPv4Network,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_interface,
    ip_network,
)

UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
OPTION_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}|[0-9]{1,3}")
OPTION_VALUE = re.compile(r"[A-Za-z0-9 ._:/,;=+@%~()\[\]?&!*-]{0,1024}")
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,14}")


def _matched(pattern: re.Pattern[str], value: str, what: str) -> str:
    if not pattern.fullmatch(value):
        raise ValueError(f"{value[:80]!r} is no {what}")
    return value


def identifier(value: str) -> str:
    """An id of the API."""
    return _matched(UUID, value, "id")


def mac(value: str) -> str:
    """An Ethernet address, in lower case."""
    return _matched(MAC, value.lower(), "MAC address")


def label(value: str) -> str:
    """One label of a host's name (RFC 1123)."""
    return _matched(LABEL, value, "host name")


def option_name(value: str) -> str:
    """The name or number of a DHCP option."""
    return _matched(OPTION_NAME, value, "DHCP option")


def option_value(value: str) -> str:
    """The value of a DHCP option: no control character, no quote, no comment."""
    return _matched(OPTION_VALUE, value, "value of a DHCP option")


def device(value: str) -> str:
    """The name of an interface."""
    return _matched(DEVICE, value, "interface")


def address(value: str) -> str:
    """An IP address in its usual form."""
    return str(ip_address(value))


def version(value: str) -> int:
    """4 or 6, of an address or network."""
    return ip_network(value.partition("/")[0]).version


def cidr(value: str) -> str:
    """A network; a single address is one of its full length."""
    return str(ip_network(value, strict=False))


def interface(value: str) -> str:
    """An address with the length of its network (`10.0.0.1/24`)."""
    return str(ip_interface(value))


def length(value: str) -> int:
    """Prefix length of a network."""
    return ip_network(value, strict=False).prefixlen


def collapsed(values: Iterable[str], ip_version: int) -> list[str]:
    """The networks of one version, without overlaps, in order; what rules need."""
    four: list[IPv4Network] = []
    six: list[IPv6Network] = []
    for value in values:
        network = ip_network(value, strict=False)
        if isinstance(network, IPv4Network):
            four.append(network)
        else:
            six.append(network)
    found = collapse_addresses(four) if ip_version == 4 else collapse_addresses(six)
    return [str(network) for network in found]


def link_local(mac_address: str) -> str:
    """The link-local address that a MAC makes (RFC 4291 appendix A)."""
    octets = [int(part, 16) for part in mac(mac_address).split(":")]
    octets[0] ^= 2
    groups = [*octets[:3], 0xFF, 0xFE, *octets[3:]]
    text = ":".join(f"{groups[i]:02x}{groups[i + 1]:02x}" for i in range(0, 8, 2))
    return str(ip_address(f"fe80::{text}"))
