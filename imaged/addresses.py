"""Which URLs an import may fetch, and which addresses it may connect to. Pure.

Against server-side request forgery (CVE-2026-34881): only what is public on the Internet, unless the operator names a
network. Decided on the address that is connected to and never on the name, so that no spelling of an address, no
redirect and no name server that changes its mind leads inside. An address that carries another is judged by both.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from core.errors import Refused

PORTS = {"http": 80, "https": 443}
URL_CHARS_MAX = 2048
NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Place(NamedTuple):
    """A URL taken apart. `target` is the path and the query; `host` has no brackets."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def tls(self) -> bool:
        """Whether it is fetched over TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def place(url: str) -> Place:
    """Take a URL apart. Raises Refused("BadUrl")."""
    if len(url) > URL_CHARS_MAX or not url.isascii() or any(ord(char) <= 32 for char in url):
        raise refused("the URL is too long, or holds characters that must be escaped")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refused("the URL cannot be read") from None
    scheme = parts.scheme.lower()
    if scheme not in PORTS:
        raise refused("only http and https are fetched")
    if not parts.hostname or "@" in parts.netloc or "%" in parts.netloc:
        raise refused("the URL needs a plain host name, and takes no credentials")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(scheme, parts.hostname, port or PORTS[scheme], target)


def refused(message: str) -> Refused:
    """A refusal of a URL."""
    return Refused("BadUrl", message)


def check_literal(where: Place, allow: Iterable[Network], ports: Iterable[int]) -> None:
    """Refuse what can be refused without asking a name server. Raises Refused("BadUrl")."""
    if where.host.lower().rstrip(".") == "localhost":
        check(ipaddress.ip_address("127.0.0.1"), where.port, allow, ports)
    try:
        address = ipaddress.ip_address(where.host)
    except ValueError:
        return
    check(address, where.port, allow, ports)


def check(address: Address, port: int, allow: Iterable[Network], ports: Iterable[int]) -> None:
    """Refuse an address and port that an import must not connect to. Raises Refused("BadUrl")."""
    if any(address.version == network.version and address in network for network in allow):
        return
    if any(not _public(one) for one in {address, *embedded(address)}):
        raise refused(f"the address {address} is not public")
    if port not in {*PORTS.values(), *ports}:
        raise refused(f"the port {port} is not one that imports come from")


def _public(address: Address) -> bool:
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_private
    )


def embedded(address: Address) -> list[Address]:
    """IPv4 addresses that an IPv6 address stands for: mapped, compatible, 6to4, Teredo, NAT64."""
    if address.version == 4:
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour]
    if address.teredo:
        found += address.teredo
    number = int(address)
    if address in NAT64 or number >> 32 == 0:
        found.append(ipaddress.IPv4Address(number & 0xFFFF_FFFF))
    return [one for one in found if one is not None]
