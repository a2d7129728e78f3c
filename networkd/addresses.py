"""Which addresses a port gets, and what a subnet may be made of. Pure.

Subnets are looked at as spaces: a network, the pools that automatic choice draws from, and whether hosts make their
addresses themselves (SLAAC, RFC 4862: prefix and modified EUI-64 of the MAC). A choice is made from the addresses
that are taken, inside the transaction that takes one, so no two ports get the same.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from networkd.fault import NetworkFault, bad, in_use, invalid
from networkd.values import Ip, Net

AUTOMATIC_MODES = frozenset({"slaac", "dhcpv6-stateless"})
ROUTER_OWNERS = frozenset({"network:router_interface"})
SLAAC_PREFIX = 64
Range = tuple[int, int]  # first and last address, as numbers


class Space(NamedTuple):
    """A subnet, as far as addresses go."""

    id: str
    net: Net
    pools: tuple[Range, ...]
    automatic: bool = False
    service_types: tuple[str, ...] = ()


class Choice(NamedTuple):
    """An address of a subnet."""

    subnet_id: str
    address: str


class Asking(NamedTuple):
    """The port that wants addresses. `own`: those that it has already, which it may keep."""

    network_id: str
    mac: str
    owner: str = ""
    own: tuple[Choice, ...] = ()


Taken = Mapping[str, set[int]]


def number(text: str) -> int:
    """An address as a number."""
    return int(ipaddress.ip_address(text))


def written(value: int, net: Net) -> str:
    """A number as an address of a network's version."""
    kind = ipaddress.IPv4Address if net.version == 4 else ipaddress.IPv6Address
    return str(kind(value))


def space_of(subnet: Mapping[str, Any]) -> Space:
    """A subnet's row as a space."""
    return Space(
        subnet["id"],
        ipaddress.ip_network(subnet["cidr"]),
        tuple((number(pool["start"]), number(pool["end"])) for pool in subnet["allocation_pools"]),
        subnet["ipv6_address_mode"] in AUTOMATIC_MODES
        or (subnet["ipv6_address_mode"] is None and subnet["ipv6_ra_mode"] in AUTOMATIC_MODES),
        tuple(subnet["service_types"]),
    )


def eui64(net: Net, mac: str) -> int:
    """The address that a host with this MAC makes itself (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return int(net.network_address) | int.from_bytes(interface, "big")


def is_host(net: Net, value: int) -> bool:
    """Whether a number is an address of the network that a host may have."""
    first, last = int(net.network_address), int(net.broadcast_address)
    if not first <= value <= last:
        return False
    if net.num_addresses <= 2:
        return True
    return value != first and (net.version == 6 or value != last)


def hosts_of(net: Net) -> Range:
    """First and last address that hosts may have."""
    first, last = int(net.network_address), int(net.broadcast_address)
    if net.num_addresses <= 2:
        return first, last
    return first + 1, last - 1 if net.version == 4 else last


def default_gateway(net: Net) -> str | None:
    """The first address; none where there is no room for hosts beside it."""
    return written(hosts_of(net)[0], net) if net.num_addresses > 2 else None


def default_pools(net: Net, gateway: str | None) -> list[dict[str, str]]:
    """All addresses of hosts but the gateway's."""
    first, last = hosts_of(net)
    ranges = [(first, last)]
    if gateway is not None and first <= number(gateway) <= last:
        middle = number(gateway)
        ranges = [(first, middle - 1), (middle + 1, last)]
    return [
        {"start": written(low, net), "end": written(high, net)}
        for low, high in ranges
        if low <= high
    ]


def check_pools(
    net: Net, pools: Sequence[Mapping[str, str]], gateway: str | None
) -> list[dict[str, str]]:
    """Allocation pools in order. Raises Fault 400 or 409 as Neutron does for what cannot be."""
    ranges: list[Range] = []
    for pool in pools:
        start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        shown = f"{start}-{end}"
        if start.version != net.version or end.version != net.version or int(start) > int(end):
            raise bad(f"The allocation pool {shown} is not valid.", "InvalidAllocationPool")
        if not (is_host(net, int(start)) and is_host(net, int(end))):
            raise bad(
                f"The allocation pool {shown} spans beyond the subnet cidr {net}.",
                "OutOfBoundsAllocationPool",
            )
        if gateway is not None and int(start) <= number(gateway) <= int(end):
            raise in_use(
                "GatewayConflictWithAllocationPools",
                f"Gateway ip {gateway} conflicts with allocation pool {shown}.",
            )
        ranges.append((int(start), int(end)))
    ranges.sort()
    for before, after in itertools.pairwise(ranges):
        if after[0] <= before[1]:
            raise in_use(
                "OverlappingAllocationPools",
                f"Found overlapping allocation pools: {written(before[0], net)}-{written(before[1], net)}"
                f" {written(after[0], net)}-{written(after[1], net)} for subnet {net}.",
            )
    return [{"start": written(low, net), "end": written(high, net)} for low, high in ranges]


def overlap(net: Net, others: Iterable[Net]) -> Net | None:
    """The first of some networks that shares addresses with one."""
    return next(
        (other for other in others if other.version == net.version and net.overlaps(other)), None
    )


def free(space: Space, taken: set[int]) -> int | None:
    """The lowest address of the pools that nobody has."""
    for first, last in space.pools:
        value = first
        while value <= last and value in taken:
            value += 1
        if value <= last:
            return value
    return None


def suits(space: Space, owner: str) -> bool:
    """Whether ports of an owner may have addresses of a subnet by themselves (its service types)."""
    return not space.service_types or any(owner.startswith(kind) for kind in space.service_types)


def allocate(
    spaces: Sequence[Space],
    taken: Taken,
    requested: Sequence[Mapping[str, str]] | None,
    asking: Asking,
) -> list[Choice]:
    """The addresses of a port. `requested` is its `fixed_ips`; with None one address of each version is chosen.

    Subnets whose hosts make their addresses themselves always add theirs, except to routers. Raises Fault 400 for what the
    subnets do not hold, 409 for what is taken (IpAddressInUse) or when nothing is left (IpAddressGenerationFailure).
    """
    used = {space.id: set(taken.get(space.id, ())) for space in spaces}
    for choice in asking.own:
        used.get(choice.subnet_id, set()).discard(number(choice.address))
    chosen: list[Choice] = []
    if requested is None:
        chosen += _automatic(spaces, used, asking)
    else:
        # explicit addresses first, so that an automatic choice does not take them
        for item in sorted(requested, key=lambda one: "ip_address" not in one):
            chosen.append(_requested(spaces, used, item, asking))
    if asking.owner not in ROUTER_OWNERS:
        named = {choice.subnet_id for choice in chosen}
        for space in spaces:
            if space.automatic and space.id not in named and suits(space, asking.owner):
                chosen.append(_take(space, used, eui64(space.net, asking.mac), asking))
    return chosen


def _automatic(spaces: Sequence[Space], used: dict[str, set[int]], asking: Asking) -> list[Choice]:
    chosen = []
    for version in (4, 6):
        fitting = [
            space
            for space in spaces
            if space.net.version == version
            and (not space.automatic or asking.owner in ROUTER_OWNERS)
            and suits(space, asking.owner)
        ]
        # a subnet that names the owner goes before those for everybody
        fitting.sort(key=lambda space: not space.service_types)
        if fitting:
            chosen.append(_from_pools(fitting, used, asking))
    return chosen


def _from_pools(fitting: Sequence[Space], used: dict[str, set[int]], asking: Asking) -> Choice:
    for space in fitting:
        for own in asking.own:
            value = number(own.address)
            if own.subnet_id == space.id and value not in used[space.id]:
                return _take(space, used, value, asking)
        found = free(space, used[space.id])
        if found is not None:
            return _take(space, used, found, asking)
    raise NetworkFault(
        409,
        "IpAddressGenerationFailure",
        f"No more IP addresses available on network {asking.network_id}.",
    )


def _requested(
    spaces: Sequence[Space],
    used: dict[str, set[int]],
    item: Mapping[str, str],
    asking: Asking,
) -> Choice:
    text = item.get("ip_address")
    if "subnet_id" in item:
        found = next((space for space in spaces if space.id == item["subnet_id"]), None)
        if found is None:
            raise invalid(
                f"Failed to create port on network {asking.network_id}, because fixed_ips included"
                f" invalid subnet {item['subnet_id']}."
            )
    elif text is not None:
        address = ipaddress.ip_address(text)
        found = next((space for space in spaces if address in space.net), None)
        if found is None:
            raise bad(
                f"IP address {text} is not a valid IP for any of the subnets on the specified network.",
                "InvalidIpForNetwork",
            )
    else:
        raise invalid("IP allocation requires subnet_id or ip_address.")
    if text is not None:
        return _explicit(found, used, text, asking)
    if found.automatic and asking.owner not in ROUTER_OWNERS:
        return _take(found, used, eui64(found.net, asking.mac), asking)
    return _from_pools([found], used, asking)


def _explicit(space: Space, used: dict[str, set[int]], text: str, asking: Asking) -> Choice:
    address: Ip = ipaddress.ip_address(text)
    if address not in space.net or not is_host(space.net, int(address)):
        raise bad(
            f"IP address {text} is not a valid IP for the specified subnet.", "InvalidIpForSubnet"
        )
    own = int(address) == eui64(space.net, asking.mac)
    if space.automatic and asking.owner not in ROUTER_OWNERS and not own:
        raise invalid(
            f"IPv6 address {text} can not be directly assigned to a port on subnet {space.id} since the"
            " subnet is configured for automatic addresses."
        )
    return _take(space, used, int(address), asking)


def _take(space: Space, used: dict[str, set[int]], value: int, asking: Asking) -> Choice:
    text = written(value, space.net)
    if value in used[space.id]:
        raise in_use(
            "IpAddressInUse",
            f"Unable to complete operation for network {asking.network_id}. The IP address {text} is in use.",
        )
    used[space.id].add(value)
    return Choice(space.id, text)


def compacted(prefixes: Iterable[str]) -> list[str]:
    """The same addresses in as few prefixes as there can be, in order. All are of one version."""
    nets: list[Any] = [ipaddress.ip_network(prefix) for prefix in prefixes]
    return [str(net) for net in ipaddress.collapse_addresses(nets)]


def cut(prefixes: Iterable[str], taken: Iterable[str], length: int) -> str | None:
    """The lowest network of so many bits inside some prefixes that shares nothing with what is taken."""
    held = sorted(
        (int(net.network_address), int(net.broadcast_address))
        for net in map(ipaddress.ip_network, taken)
    )
    for prefix in sorted(
        map(ipaddress.ip_network, prefixes), key=lambda net: int(net.network_address)
    ):
        if length < prefix.prefixlen or length > prefix.max_prefixlen:
            continue
        size = 1 << (prefix.max_prefixlen - length)
        start, last = int(prefix.network_address), int(prefix.broadcast_address)
        for low, high in held:
            if high >= start and low <= start + size - 1:
                start = -(-(high + 1) // size) * size
        if start + size - 1 <= last:
            return f"{written(start, prefix)}/{length}"
    return None


def inside(net: str, prefixes: Iterable[str]) -> bool:
    """Whether a network lies in one of some prefixes."""
    wanted = ipaddress.ip_network(net)
    for prefix in map(ipaddress.ip_network, prefixes):
        if prefix.version != wanted.version:
            continue
        if int(prefix.network_address) <= int(wanted.network_address) and int(
            wanted.broadcast_address
        ) <= int(prefix.broadcast_address):
            return True
    return False
