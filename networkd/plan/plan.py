"""What a host's kernel and daemons should have, as values. Pure.

A `Space` is a network namespace; the one with the empty name is the machine's own, of which only the interfaces named here
are ours. A `Service` is a dnsmasq with its files. A `Listener` is where guests ask for metadata.
"""

from __future__ import annotations

import msgspec

from networkd.plan import names
from networkd.port import Router

BRIDGE, VETH, VXLAN, TAP = "bridge", "veth", "vxlan", "tun"  # as the kernel calls them
MACHINE = ""  # the name of the machine's own namespace


class Link(msgspec.Struct, frozen=True):
    """An interface. One of a pair names its other end when it is the end that the pair is made from."""

    name: str
    kind: str
    mtu: int
    owner: str = ""  # id of what it is for: whom a failure concerns
    master: str = ""
    mac: str = ""
    up: bool = True
    peer: str = ""
    peer_space: str = ""
    number: int = 0  # of a VXLAN
    local: str = ""
    device: str = ""
    port: int = 0


class Path(msgspec.Struct, frozen=True):
    """A route."""

    destination: str
    via: str
    link: str
    on_link: bool = False  # the next hop is not in a network of the link


class Table(msgspec.Struct, frozen=True):
    """A table of rules; `text` is what is between its braces."""

    family: str
    name: str
    text: str

    @property
    def digest(self) -> str:
        """A fingerprint, which the table carries as the name of an empty chain."""
        return names.digest(self.text)


class Space(msgspec.Struct, frozen=True):
    """A namespace. `floods`: where a VXLAN device sends what it knows no place for. `settings`: below /proc/sys/net."""

    name: str
    owner: str = ""
    links: dict[str, Link] = {}
    addresses: dict[str, frozenset[str]] = {}
    paths: frozenset[Path] = frozenset()
    floods: dict[str, frozenset[str]] = {}
    settings: dict[str, str] = {}
    tables: tuple[Table, ...] = ()


class Service(msgspec.Struct, frozen=True):
    """A dnsmasq: when `config` changes it has to be started again, when only `files` do it reads them again."""

    id: str
    space: str
    config: tuple[str, ...]
    files: dict[str, str]
    leases: frozenset[tuple[str, str]] = frozenset()  # (MAC, address) that may be held


class Listener(msgspec.Struct, frozen=True):
    """Where guests of some networks ask for metadata."""

    space: str
    networks: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True):
    """All of a host. `ports` and `routers`: what has to stand for each before it is reported."""

    version: str
    host_space: str
    spaces: dict[str, Space] = {}
    services: dict[str, Service] = {}
    listeners: dict[str, Listener] = {}
    ports: dict[str, tuple[str, str]] = {}  # port: its namespace and interface
    routers: dict[str, str] = {}  # router: its namespace
    translations: dict[str, Router] = {}  # what is translated, by namespace
    physical: dict[str, str] = {}
    faults: dict[str, str] = {}
