"""Subnets: the rules that a new or changed one must keep, and where its addresses come from.

Lookups are SQL; what may stand beside what is decided in `addresses`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from core import rows
from core.database import Connection
from core.rows import Row
from networkd import ports
from networkd.addresses import (
    AUTOMATIC_MODES,
    SLAAC_PREFIX,
    Choice,
    compacted,
    cut,
    eui64,
    inside,
    is_host,
    number,
    overlap,
    space_of,
    written,
)
from networkd.fault import NetworkFault, absent, bad, in_use, invalid
from networkd.tables import network, port
from networkd.values import Net

TABLE = network.subnet
POOLS = network.subnetpool
OWN_PORTS = (ports.DHCP,)
NAMESERVERS_MAX = 5
ROUTES_MAX = 20
MTU_MIN = {4: 68, 6: 1280}


async def get(db: Connection, subnet_id: str) -> Row:
    """A subnet, whoever asks. Raises Fault 404."""
    row = await rows.by_id(db, TABLE, subnet_id)
    if row is None:
        raise absent("Subnet", subnet_id)
    return row


def check_net(net: Net, version: int) -> None:
    """Raise Fault 400 for networks that hosts cannot have."""
    if net.version != version:
        raise invalid(f"ip_version {version} does not match the cidr {net}")
    if net.prefixlen == 0:
        raise invalid("0 is not allowed as CIDR prefix length")
    if net.is_multicast or net.network_address.is_multicast:
        raise invalid(f"Multicast network {net} is not allowed for subnets")
    if net.is_loopback or net.network_address.is_loopback:
        raise invalid(f"Loopback network {net} is not allowed for subnets")
    if net.version == 4 and net.network_address.is_link_local:
        raise invalid(f"Link-local network {net} is not allowed for subnets")


def check_mtu(mtu: int, version: int) -> None:
    """Raise Fault 409 when a network is too narrow for a version of IP (RFC 791, RFC 8200)."""
    least = MTU_MIN[version]
    if mtu < least:
        raise in_use(
            "NetworkMTUSubnetConflict",
            f"Invalid network MTU {mtu}: a subnet of IPv{version} needs at least {least}.",
        )


def check_modes(given: Mapping[str, Any], net: Net) -> None:
    """Raise Fault 400 for modes of IPv6 that do not go together (or with DHCP, or with the prefix)."""
    advertised, mode = given.get("ipv6_ra_mode"), given.get("ipv6_address_mode")
    if advertised is None and mode is None:
        return
    if net.version == 4:
        raise invalid("ipv6_ra_mode or ipv6_address_mode cannot be set when ip_version is not 6")
    if not given["enable_dhcp"]:
        raise invalid(
            "ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False"
        )
    if advertised is not None and mode is not None and advertised != mode:
        raise invalid(
            f"ipv6_ra_mode set to '{advertised}' with ipv6_address_mode set to '{mode}' is not valid. If both"
            " attributes are set, they must be the same value"
        )
    if net.prefixlen != SLAAC_PREFIX and AUTOMATIC_MODES & {advertised, mode}:
        raise invalid(
            f"Invalid CIDR {net} for IPv6 address mode. OpenStack uses the EUI-64 address format, which"
            " requires the prefix to be /64"
        )


def check_gateway(net: Net, gateway: str | None) -> None:
    """Raise Fault 400 for a gateway of the other version, or that no host can have."""
    if gateway is None:
        return
    if ipaddress.ip_address(gateway).version != net.version:
        raise invalid(f"gateway_ip {gateway} is not of the version of {net}")
    if ipaddress.ip_address(gateway) in net and not is_host(net, number(gateway)):
        raise invalid(f"Gateway is not valid on subnet {net}: {gateway}")


def check_names(net: Net, given: Mapping[str, Any]) -> None:
    """Raise Fault 400 for too many name servers or routes, or of the other version."""
    if len(given.get("dns_nameservers", ())) > NAMESERVERS_MAX:
        raise bad(
            f"Unable to complete operation. The number of DNS nameservers exceeds the limit {NAMESERVERS_MAX}.",
            "DNSNameServersExhausted",
        )
    if len(given.get("host_routes", ())) > ROUTES_MAX:
        raise bad(
            f"Unable to complete operation. The number of host routes exceeds the limit {ROUTES_MAX}.",
            "HostRoutesExhausted",
        )
    for text in given.get("dns_nameservers", ()):
        if ipaddress.ip_address(text).version != net.version:
            raise invalid(f"name server {text} is not of the version of {net}")
    for route in given.get("host_routes", ()):
        versions = {
            ipaddress.ip_network(route["destination"]).version,
            ipaddress.ip_address(route["nexthop"]).version,
        }
        if versions != {net.version}:
            raise invalid(f"host route {route} is not of the version of {net}")


async def check_alone(db: Connection, network_id: str, net: Net) -> None:
    """Raise Fault 400 when a network has another subnet with some of these addresses."""
    others = [ipaddress.ip_network(row["cidr"]) for row in await ports.subnets_of(db, network_id)]
    if overlap(net, others) is not None:
        raise invalid(
            f"Requested subnet with cidr: {net} for network: {network_id} overlaps with another subnet"
        )


async def check_unused(db: Connection, row: Row) -> None:
    """Raise Fault 409 when ports have addresses of a subnet that they did not make themselves."""
    table, addresses = port.port, ports.ADDRESSES
    conditions = [addresses.c.subnet_id == row["id"], table.c.device_owner.not_in(OWN_PORTS)]
    if space_of(row).automatic:
        conditions.append(table.c.device_owner.in_(ports.OF_ROUTERS))
    statement = (
        sa.select(table.c.id).join(addresses, addresses.c.port_id == table.c.id).where(*conditions)
    )
    if (await db.execute(statement.limit(1))).first() is not None:
        raise in_use(
            "SubnetInUse",
            f"Unable to complete operation on subnet {row['id']}: One or more ports have an IP allocation"
            " from this subnet.",
        )


async def check_gateway_free(db: Connection, row: Row) -> None:
    """Raise Fault 409 when a router has the gateway's address of a subnet."""
    table, addresses = port.port, ports.ADDRESSES
    statement = (
        sa.select(table.c.id)
        .join(addresses, addresses.c.port_id == table.c.id)
        .where(
            addresses.c.subnet_id == row["id"],
            addresses.c.address == row["gateway_ip"],
            table.c.device_owner == ports.INTERFACE,
        )
    )
    found = (await db.execute(statement)).scalar()
    if found is not None:
        raise in_use(
            "GatewayIpInUse",
            f"Current gateway ip {row['gateway_ip']} already in use by port {found}. Unable to update.",
        )


async def add_own_addresses(db: Connection, row: Row) -> None:
    """Ports that are there already get the addresses that they make themselves in a new subnet."""
    space = space_of(row)
    if not space.automatic:
        return
    table = port.port
    statement = sa.select(table).where(
        table.c.network_id == row["network_id"], table.c.device_owner.not_in(ports.OF_ROUTERS)
    )
    for one in await rows.rows(db, statement):
        own = (await ports.addresses_of(db, [one["id"]])).get(one["id"], [])
        address = written(eui64(space.net, one["mac_address"]), space.net)
        await ports.put_addresses(db, one["id"], [*own, Choice(row["id"], address)])


# pools


async def pool_of(db: Connection, given: Mapping[str, Any], version: int) -> Row | None:
    """The pool that a new subnet is cut from, if any. Raises Fault 400, 404."""
    name = given.get("subnetpool_id")
    if given.get("use_default_subnetpool"):
        if name or given.get("cidr"):
            raise bad("subnetpool_id and use_default_subnetpool cannot both be specified")
        found = await rows.matching(db, POOLS, is_default=True, ip_version=version)
        if not found:
            raise bad(f"No default subnetpool found for IPv{version}")
        return found[0]
    if name is None:
        return None
    row = await rows.by_id(db, POOLS, name)
    if row is None:
        raise NetworkFault(404, "SubnetPoolNotFound", f"Subnet pool {name} could not be found.")
    if row["ip_version"] != version:
        raise bad(
            "Cannot allocate requested subnet from the available set of prefixes: wrong version"
        )
    return row


async def nets_of(db: Connection, pool_id: str) -> list[Row]:
    """The subnets that were cut from a pool."""
    return await rows.matching(db, TABLE, subnetpool_id=pool_id)


async def cut_from(db: Connection, pool: Row, given: Mapping[str, Any]) -> str:
    """The prefix that a new subnet gets from a pool: the one asked for, or the lowest free one. Raises Fault 400, 409."""
    held = await nets_of(db, pool["id"])
    asked = given.get("cidr")
    length = given.get("prefixlen")
    if asked is not None:
        length = ipaddress.ip_network(asked).prefixlen
    length = pool["default_prefixlen"] if length is None else length
    check_length(pool, length)
    await _check_quota(db, pool, held, given["project_id"], length)
    taken = [row["cidr"] for row in held]
    if asked is None:
        found = cut(pool["prefixes"], taken, length)
        if found is None:
            raise _not_cut(f"Insufficient prefix space to allocate subnet size /{length}")
        return found
    clash = overlap(ipaddress.ip_network(asked), map(ipaddress.ip_network, taken))
    if clash is not None or not inside(asked, pool["prefixes"]):
        raise _not_cut("Cannot allocate requested subnet from the available set of prefixes")
    return str(asked)


def _not_cut(why: str) -> NetworkFault:
    return NetworkFault(409, "SubnetAllocationError", f"Failed to allocate subnet: {why}.")


def check_length(pool: Mapping[str, Any], length: int) -> None:
    """Raise Fault 400 for a prefix that a pool does not give."""
    if length < pool["min_prefixlen"]:
        raise bad(
            f"Unable to allocate subnet with prefix length {length}, minimum allowed prefix is"
            f" {pool['min_prefixlen']}.",
            "MinPrefixSubnetAllocationError",
        )
    if length > pool["max_prefixlen"]:
        raise bad(
            f"Unable to allocate subnet with prefix length {length}, maximum allowed prefix is"
            f" {pool['max_prefixlen']}.",
            "MaxPrefixSubnetAllocationError",
        )


async def _check_quota(
    db: Connection, pool: Row, held: list[Row], project_id: str, length: int
) -> None:
    del db
    if pool["default_quota"] is None:
        return
    # addresses in IPv4, /64s in IPv6
    unit = 32 if pool["ip_version"] == 4 else 64

    def size(bits: int) -> int:
        return 1 << max(0, unit - bits)

    used = sum(
        size(ipaddress.ip_network(row["cidr"]).prefixlen)
        for row in held
        if row["project_id"] == project_id
    )
    if used + size(length) > pool["default_quota"]:
        raise NetworkFault(
            409, "SubnetPoolQuotaExceeded", "Per-project subnet pool prefix quota exceeded."
        )


def check_prefixes(pool: Mapping[str, Any]) -> list[str]:
    """The prefixes of a pool in their normal form. Raises Fault 400 for those that do not go with its bounds."""
    nets = [ipaddress.ip_network(prefix) for prefix in pool["prefixes"]]
    if not nets:
        raise bad("Empty subnet pool prefix list.", "EmptySubnetPoolPrefixList")
    if len({net.version for net in nets}) > 1:
        raise bad("Cannot mix IPv4 and IPv6 prefixes in a subnet pool.", "PrefixVersionMismatch")
    least, most, usual = (pool[f"{name}_prefixlen"] for name in ("min", "max", "default"))
    if not 0 <= least <= usual <= most <= nets[0].max_prefixlen:
        raise bad(
            f"Illegal prefix bounds: min_prefixlen={least}, default_prefixlen={usual}, max_prefixlen={most}.",
            "IllegalSubnetPoolPrefixBounds",
        )
    return compacted(str(net) for net in nets)
