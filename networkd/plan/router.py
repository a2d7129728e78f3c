"""A router: its namespace, legs, addresses, routes, rules and advertisements. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from networkd.plan import names, translation, values
from networkd.plan.ground import Ground
from networkd.plan.network import METADATA, leg, mtu
from networkd.plan.plan import VETH, Link, Path, Space
from networkd.port import Network, Router, RouterPort

DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}
SETTINGS = {
    "ipv4/ip_forward": "1",
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/arp_ignore": "1",
    "ipv4/conf/all/arp_announce": "2",
    "ipv6/conf/all/forwarding": "1",
    "ipv6/conf/all/accept_ra": "0",
    "ipv6/conf/default/accept_ra": "0",
}


def legs(router: Router) -> list[RouterPort]:
    """Its legs, the gateway's among them."""
    return [*router.ports, *([router.gateway] if router.gateway else [])]


def host_links(router: Router, networks: dict[str, Network]) -> dict[str, Link]:
    """The bridges' ends of its legs. Raises ValueError."""
    found = [
        leg(networks[one.network_id], one.port_id, router.id, up=router.up)
        for one in legs(router)
        if one.network_id in networks
    ]
    return {link.name: link for link in found}


def _link(one: RouterPort, router: Router, network: Network, ground: Ground) -> Link:
    return Link(
        names.inner(one.port_id),
        VETH,
        mtu(network),
        owner=router.id,
        mac=values.mac(one.mac),
        up=router.up,
        peer=names.leg(one.port_id),
        peer_space=ground.host_space,
    )


def _addresses(one: RouterPort) -> frozenset[str]:
    return frozenset(values.interface(f"{address}/{length}") for address, length in one.addresses)


def extra_addresses(router: Router) -> frozenset[str]:
    """What the gateway leg answers for beside its own: floating and forwarded addresses."""
    found = {values.address(one.outside) for one in router.floating}
    found |= {values.address(one.outside) for one in router.forwardings}
    own = {values.address(one) for one, _ in router.gateway.addresses} if router.gateway else set()
    return frozenset(f"{one}/{ip_address(one).max_prefixlen}" for one in found - own)


def _near(address: str, one: RouterPort) -> bool:
    """A leg has the address in a network of its own."""
    return any(
        ip_address(address) in ip_network(f"{own}/{length}", strict=False)
        for own, length in one.addresses
    )


def paths(router: Router) -> Iterator[Path]:
    """Its routes: the default ones by the gateway, then its own. Those that no leg leads to are left out."""
    versions: set[int] = set()
    for text in router.gateway_addresses if router.gateway else ():
        via, version = values.address(text), values.version(text)
        if router.gateway and version not in versions:
            versions.add(version)
            device = names.inner(router.gateway.port_id)
            yield Path(DEFAULT[version], via, device, on_link=not _near(via, router.gateway))
    for route in router.routes:
        destination, via = values.cidr(route.destination), values.address(route.nexthop)
        if destination == DEFAULT[values.version(via)] and values.version(via) in versions:
            continue
        for one in legs(router):
            if _near(via, one):
                yield Path(destination, via, names.inner(one.port_id))
                break


def space(router: Router, networks: dict[str, Network], ground: Ground) -> Space:
    """The namespace of a router. Legs of networks that are not known here are left out. Raises ValueError."""
    links: dict[str, Link] = {}
    addresses: dict[str, frozenset[str]] = {"lo": frozenset({METADATA})}
    known = [one for one in legs(router) if one.network_id in networks]
    for one in known:
        link = _link(one, router, networks[one.network_id], ground)
        links[link.name] = link
        addresses[link.name] = _addresses(one)
    if router.gateway in known and router.gateway is not None:
        addresses[names.inner(router.gateway.port_id)] |= extra_addresses(router)
    return Space(
        names.router_space(ground.host_space, router.id),
        owner=router.id,
        links=links,
        addresses=addresses,
        paths=frozenset(one for one in paths(router) if one.link in links),
        settings=SETTINGS,
        tables=(translation.table(router),),
    )
