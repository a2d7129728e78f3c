"""What a namespace has: interfaces, addresses, routes, tunnels' neighbours and settings, read from the kernel.

Everything here runs in a thread that is in the namespace.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path as File
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2.iproute.linux import IPRoute

from networkd.plan.difference import Seen
from networkd.plan.plan import VXLAN, Link, Path

UP = 1  # IFF_UP
MAIN_TABLE = 254
ON_LINK = 4  # RTNH_F_ONLINK
NOT_OURS = frozenset({2, 9})  # RTPROT_KERNEL, RTPROT_RA
SETTINGS = File("/proc/sys/net")
FLOOD = "00:00:00:00:00:00"
ANYWHERE = {AF_INET: "0.0.0.0", AF_INET6: "::"}  # noqa: S104 - the default route's destination


def links(kernel: Any) -> tuple[dict[str, Link], dict[int, str]]:
    """Interfaces by name, and their names by index."""
    found = list(kernel.get_links())
    indexes = {one["index"]: one.get_attr("IFLA_IFNAME") for one in found}
    return {indexes[one["index"]]: _link(one, indexes) for one in found}, indexes


def _link(one: Any, indexes: dict[int, str]) -> Link:
    info = one.get_attr("IFLA_LINKINFO")
    kind = str(info.get_attr("IFLA_INFO_KIND") or "") if info else ""
    data = info.get_attr("IFLA_INFO_DATA") if info and kind == VXLAN else None
    return Link(
        indexes[one["index"]],
        kind,
        one.get_attr("IFLA_MTU") or 0,
        master=indexes.get(one.get_attr("IFLA_MASTER"), ""),
        mac=one.get_attr("IFLA_ADDRESS") or "",
        up=bool(one["flags"] & UP),
        number=data.get_attr("IFLA_VXLAN_ID") if data else 0,
        local=(data.get_attr("IFLA_VXLAN_LOCAL") or data.get_attr("IFLA_VXLAN_LOCAL6") or "")
        if data
        else "",
        port=data.get_attr("IFLA_VXLAN_PORT") if data else 0,
    )


def addresses(kernel: Any, indexes: dict[int, str]) -> dict[str, frozenset[str]]:
    """Addresses with the lengths of their networks, by interface."""
    found: dict[str, set[str]] = {}
    for one in kernel.get_addr():
        address = one.get_attr("IFA_LOCAL") or one.get_attr("IFA_ADDRESS")
        found.setdefault(indexes.get(one["index"], ""), set()).add(f"{address}/{one['prefixlen']}")
    return {name: frozenset(values) for name, values in found.items()}


def paths(kernel: Any, indexes: dict[int, str]) -> frozenset[Path]:
    """Routes by way of a next hop that are not the kernel's own."""
    found = set()
    for family in (AF_INET, AF_INET6):
        for one in kernel.get_routes(family=family, table=MAIN_TABLE):
            via = one.get_attr("RTA_GATEWAY")
            if via is None or one["proto"] in NOT_OURS:
                continue
            destination = one.get_attr("RTA_DST") or ANYWHERE[family]
            found.add(
                Path(
                    f"{destination}/{one['dst_len']}",
                    via,
                    indexes.get(one.get_attr("RTA_OIF"), ""),
                    on_link=bool(one["flags"] & ON_LINK),
                )
            )
    return frozenset(found)


def floods(
    kernel: Any, seen: dict[str, Link], indexes: dict[int, str]
) -> dict[str, frozenset[str]]:
    """Where VXLAN devices flood to. One look at all forwarding tables, because the kernel shows no part of them."""
    found: dict[str, set[str]] = {name: set() for name, link in seen.items() if link.kind == VXLAN}
    for one in kernel.fdb("dump") if found else ():
        name = indexes.get(one["ifindex"], "")
        peer = one.get_attr("NDA_DST")
        if peer and name in found and one.get_attr("NDA_LLADDR") == FLOOD:
            found[name].add(str(peer))
    return {name: frozenset(peers) for name, peers in found.items()}


def settings(keys: Iterable[str]) -> dict[str, str]:
    """Settings below /proc/sys/net; those that are not there are left out."""
    found = {}
    for key in keys:
        try:
            found[key] = (SETTINGS / key).read_text().strip()
        except OSError:
            continue
    return found


def seen(keys: Iterable[str]) -> Seen:
    """All of this thread's namespace but its rules. Raises OSError and what the kernel refuses."""
    with IPRoute() as kernel:
        found, indexes = links(kernel)
        return Seen(
            links=found,
            addresses=addresses(kernel, indexes),
            paths=paths(kernel, indexes),
            floods=floods(kernel, found, indexes),
            settings=settings(keys),
        )
