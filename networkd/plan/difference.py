"""From what should be and what is to the steps between. Pure.

What we did not make is left alone: interfaces of other names, addresses that the kernel makes, routes of its own.
Rules come after interfaces exist and before taps are up; the kernel is read again after the steps, so one round need not foresee
what another step takes along (a route goes with its interface).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_interface

import msgspec

from networkd.plan import names
from networkd.plan.plan import MACHINE, TAP, VXLAN, Link, Path, Space
from networkd.plan.step import (
    AddAddress,
    AddFlood,
    AddLink,
    AddPath,
    AddSpace,
    RemoveAddress,
    RemoveFlood,
    RemoveLink,
    RemovePath,
    Rules,
    SetLink,
    Setting,
    Step,
)

TABLES = "rs_"  # how the names of our tables begin


class Seen(msgspec.Struct, frozen=True):
    """What a namespace has. `tables`: the seal of each table of ours, empty when it has none."""

    links: dict[str, Link] = {}
    addresses: dict[str, frozenset[str]] = {}
    paths: frozenset[Path] = frozenset()
    floods: dict[str, frozenset[str]] = {}
    settings: dict[str, str] = {}
    tables: dict[tuple[str, str], str] = {}


NOTHING = Seen(links={"lo": Link("lo", "", 65_536, up=False)})


def is_ours(name: str, space: str, host_space: str) -> bool:
    """An interface of that name was made by us."""
    if space == MACHINE:
        return name.startswith(f"rs{names.mark(host_space)}")
    return name.startswith(names.KINDS)


def alike(wanted: Link, seen: Link) -> bool:
    """The interface can be changed into the wanted one; otherwise it is made anew."""
    if wanted.kind != seen.kind:
        return False
    facts = (seen.number, seen.local, seen.port) == (wanted.number, wanted.local, wanted.port)
    return wanted.kind != VXLAN or facts


def _links(wanted: Space, seen: Seen, host_space: str) -> Iterator[Step]:
    for name, link in sorted(seen.links.items()):
        if name not in wanted.links and is_ours(name, wanted.name, host_space):
            yield RemoveLink(wanted.name, name, wanted.owner)
        elif name in wanted.links and not alike(wanted.links[name], link):
            yield RemoveLink(wanted.name, name, wanted.links[name].owner)


def _made(wanted: Space, seen: Seen) -> Iterator[Step]:
    for name, link in wanted.links.items():
        made_here = link.kind != "veth" or link.peer
        if made_here and (name not in seen.links or not alike(link, seen.links[name])):
            yield AddLink(wanted.name, link, link.owner)


def _change(space: str, link: Link, seen: Link | None) -> SetLink | None:
    """What an interface lacks; of one that has just been made everything."""
    mtu = None if seen is not None and seen.mtu == link.mtu else link.mtu
    mac = link.mac if link.mac and (seen is None or seen.mac != link.mac) else None
    master = None if seen is not None and seen.master == link.master else link.master
    up = None if seen is not None and seen.up == link.up else link.up
    if seen is None and not link.master:
        master = None
    if all(one is None for one in (mtu, mac, master, up)):
        return None
    return SetLink(space, link.name, link.owner, mtu=mtu, mac=mac, master=master, up=up)


def _changes(wanted: Space, seen: Seen) -> Iterator[Step]:
    if not seen.links.get("lo", Link("lo", "", 0)).up:
        yield SetLink(wanted.name, "lo", wanted.owner, up=True)
    for name, link in wanted.links.items():
        found = seen.links.get(name)
        change = _change(wanted.name, link, found if found and alike(link, found) else None)
        if change is not None:
            yield change


def clashes(wanted: Space, seen: Seen) -> dict[tuple[str, str], str]:
    """Addresses that the machine cannot have as well, because another interface is in their network already, and why."""
    found: dict[tuple[str, str], str] = {}
    if wanted.name != MACHINE:
        return found
    for link, addresses in wanted.addresses.items():
        for one in addresses - seen.addresses.get(link, frozenset()):
            network = ip_interface(one).network
            for other, held in sorted(seen.addresses.items()):
                near = [two for two in held if ip_interface(two).network.version == network.version]
                if other != link and any(
                    network.overlaps(ip_interface(two).network) for two in near
                ):
                    found[link, one] = (
                        f"{one} is left out: {other} of this machine is in that network"
                    )
    return found


def kept(address: str, link: str) -> bool:
    """An address that the kernel made, or of the loopback: not ours to remove."""
    return link == "lo" or ip_interface(address).is_link_local


def _addresses(wanted: Space, seen: Seen) -> Iterator[Step]:
    left_out = clashes(wanted, seen)
    for link in [*wanted.links, *(("lo",) if "lo" in wanted.addresses else ())]:
        owner = wanted.links[link].owner if link in wanted.links else wanted.owner
        should, has = wanted.addresses.get(link, frozenset()), seen.addresses.get(link, frozenset())
        for one in sorted(has - should):
            if not kept(one, link):
                yield RemoveAddress(wanted.name, link, one, owner)
        for one in sorted(should - has):
            if (link, one) not in left_out:
                yield AddAddress(wanted.name, link, one, owner)


def _paths(wanted: Space, seen: Seen) -> Iterator[Step]:
    if wanted.name == MACHINE:
        return
    replaced = {(one.destination, one.link) for one in wanted.paths}
    for one in sorted(seen.paths - wanted.paths, key=str):
        goes_anyway = one.link not in wanted.links
        if not goes_anyway and (one.destination, one.link) not in replaced:
            yield RemovePath(wanted.name, one, wanted.owner)
    for one in sorted(wanted.paths - seen.paths, key=str):
        if wanted.links[one.link].up:
            yield AddPath(wanted.name, one, wanted.owner)


def _floods(wanted: Space, seen: Seen) -> Iterator[Step]:
    for link, should in wanted.floods.items():
        owner = wanted.links[link].owner
        has = seen.floods.get(link, frozenset())
        yield from (RemoveFlood(wanted.name, link, one, owner) for one in sorted(has - should))
        yield from (AddFlood(wanted.name, link, one, owner) for one in sorted(should - has))


def _rules(wanted: Space, seen: Seen) -> Iterator[Step]:
    should = {(table.family, table.name): table for table in wanted.tables}
    changed = tuple(table for key, table in should.items() if seen.tables.get(key) != table.digest)
    stale = tuple(sorted(seen.tables.keys() - should.keys()))
    if changed or stale:
        yield Rules(wanted.name, changed, stale, wanted.owner)


def steps(wanted: Space, seen: Seen | None, host_space: str) -> tuple[list[Step], list[Step]]:
    """What is to be done to a namespace: first its making, then, when that is done everywhere, its wiring."""
    making: list[Step] = []
    if seen is None:
        making.append(AddSpace(wanted.name, wanted.owner))
    now = seen or NOTHING
    making += _links(wanted, now, host_space)
    making += [
        Setting(wanted.name, key, value, wanted.owner)
        for key, value in wanted.settings.items()
        if now.settings.get(key) != value
    ]
    making += _made(wanted, now)
    making += _rules(wanted, now)
    wiring: list[Step] = []
    wiring += _floods(wanted, now)
    changes = list(_changes(wanted, now))
    # taps last: by then the network that they lead to is there
    changes.sort(key=lambda one: isinstance(one, SetLink) and _is_tap(wanted, one.name))
    wiring += _addresses(wanted, now)
    wiring += changes
    wiring += _paths(wanted, now)
    return making, wiring


def _is_tap(wanted: Space, name: str) -> bool:
    return name in wanted.links and wanted.links[name].kind == TAP
