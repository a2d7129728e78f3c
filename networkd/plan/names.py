"""Names of what the agent makes. Pure.

A namespace's name begins with its host's (`core.namespace`), an interface's with its kind; the rest is of the id of what it is for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from networkd.plan.values import identifier
from networkd.port import tap_name

KINDS = ("br", "vx", "tap", "leg", "phy", "port")  # of interfaces in namespaces of ours
NUMBERS = 0x7FFF  # marks and zones are 1 … this


def bridge(network_id: str) -> str:
    """The bridge of a network in its host's namespace."""
    return f"br{identifier(network_id)[:11]}"


def vxlan(network_id: str) -> str:
    """A network's way to other hosts."""
    return f"vx{identifier(network_id)[:11]}"


def tap(port_id: str) -> str:
    """A guest's interface."""
    return tap_name(identifier(port_id))


def leg(port_id: str) -> str:
    """The bridge's end of a port that is a router's or DHCP's."""
    return f"leg{identifier(port_id)[:11]}"


def inner(port_id: str) -> str:
    """The other end of a leg, in the namespace of its owner."""
    return f"port{identifier(port_id)[:11]}"


def outlet(physical: str) -> str:
    """The bridge's end of the way to a physical network."""
    return f"phy{digest(physical)[:8]}"


def outside(host_space: str, physical: str) -> str:
    """The machine's end of the way to a physical network."""
    return f"rs{mark(host_space)}{digest(physical)[:4]}"


def mark(host_space: str) -> str:
    """The eight digits that tell the clouds of one machine apart."""
    return host_space.rpartition("-")[2][:8]


def network_space(host_space: str, network_id: str) -> str:
    """The namespace of a network's DHCP, name service and metadata."""
    return f"{host_space}-n-{identifier(network_id)[:8]}"


def router_space(host_space: str, router_id: str) -> str:
    """The namespace of a router."""
    return f"{host_space}-r-{identifier(router_id)[:8]}"


def symbol(identity: str) -> str:
    """An id as part of a name in a ruleset."""
    return identifier(identity).replace("-", "_")


def digest(text: str) -> str:
    """A short fingerprint, 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def numbered(ids: Iterable[str]) -> dict[str, int]:
    """A number of 15 bits, not 0, for each id: of the id itself, and the next free one where two meet.

    So a number stays when others come and go, but for one meeting in thousands. Raises ValueError when there are too many.
    """
    wanted = sorted(set(ids))
    if len(wanted) > NUMBERS // 2:
        raise ValueError(f"{len(wanted)} are more than one host can have")
    taken: set[int] = set()
    found: dict[str, int] = {}
    for one in wanted:
        number = int(digest(one), 16) % NUMBERS
        while number + 1 in taken:
            number = (number + 1) % NUMBERS
        taken.add(number + 1)
        found[one] = number + 1
    return found
