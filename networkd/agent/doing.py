"""Steps carried out in the kernel by netlink, ioctl and settings. Each may be repeated.

Interfaces are made from the machine's namespace into the one that they are for: so both ends of a pair are made at once, and
a tunnel's packets leave through the machine. Everything else runs in a thread that is in the namespace.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import singledispatch
from ipaddress import ip_address, ip_interface
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2.iproute.linux import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from networkd.agent import announce, tap
from networkd.agent.inside import path_of, within
from networkd.agent.reading import FLOOD, SETTINGS
from networkd.plan.plan import BRIDGE, MACHINE, TAP, VETH, VXLAN, Link
from networkd.plan.step import (
    AddAddress,
    AddFlood,
    AddLink,
    AddPath,
    RemoveAddress,
    RemoveFlood,
    RemoveLink,
    RemovePath,
    SetLink,
    Setting,
    Step,
)

NO_DAD = 0x02  # IFA_F_NODAD: our own addresses are known to be nobody else's
THERE = frozenset({errno.EEXIST})
GONE = frozenset({errno.ENOENT, errno.ENODEV, errno.EADDRNOTAVAIL, errno.ESRCH})
ON_LINK = "onlink"


@contextlib.contextmanager
def tolerant(codes: frozenset[int]) -> Iterator[None]:
    """What is already so is no failure."""
    try:
        yield
    except NetlinkError as error:
        if error.code not in codes:
            raise


def index_of(kernel: Any, name: str) -> int:
    """An interface's index. Raises OSError."""
    found = kernel.link_lookup(ifname=name)
    if not found:
        raise OSError(errno.ENODEV, f"there is no interface {name}")
    return int(found[0])


def _space(stack: ExitStack, name: str) -> dict[str, int]:
    """Where a new interface shall be; nothing for the machine."""
    if name == MACHINE:
        return {}
    file = os.open(path_of(name), os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, file)
    return {"net_ns_fd": file}


def _remove_far_end(link: Link) -> None:
    """What is left of an earlier pair."""

    def work() -> None:
        with IPRoute() as kernel, tolerant(GONE):
            for index in kernel.link_lookup(ifname=link.peer):
                kernel.link("del", index=index)

    within(link.peer_space, work)


def add_link(space: str, link: Link) -> None:
    """Make an interface, from the machine's namespace."""
    if link.kind == TAP:
        within(space, lambda: tap.make(link.name))
        return
    if link.kind == VETH:
        _remove_far_end(link)
    with ExitStack() as stack, IPRoute() as kernel, tolerant(THERE):
        wanted: dict[str, Any] = {"ifname": link.name, "kind": link.kind, "mtu": link.mtu}
        wanted |= _space(stack, space)
        if link.mac:
            wanted["address"] = link.mac
        if link.kind == BRIDGE:
            wanted |= {"br_mcast_snooping": 0, "br_forward_delay": 0}
        elif link.kind == VETH:
            far = _space(stack, link.peer_space)
            wanted["peer"] = {"ifname": link.peer, "mtu": link.mtu, **far}
        elif link.kind == VXLAN:
            key = "vxlan_local" if ip_address(link.local).version == 4 else "vxlan_local6"
            wanted |= {"vxlan_id": link.number, key: link.local, "vxlan_port": link.port}
            wanted["vxlan_learning"] = 1
            if link.device:
                wanted["vxlan_link"] = index_of(kernel, link.device)
        try:
            kernel.link("add", **wanted)
        except NetlinkError as error:
            if link.kind == VXLAN and error.code in THERE:
                what = f"VXLAN {link.number} at port {link.port} is somebody else's on this machine"
                raise OSError(errno.EEXIST, what) from None
            raise


def _route(kernel: Any, step: AddPath | RemovePath) -> dict[str, Any]:
    path = step.path
    version = ip_address(path.via).version
    found: dict[str, Any] = {
        "family": AF_INET if version == 4 else AF_INET6,
        "dst": path.destination,
        "gateway": path.via,
        "oif": index_of(kernel, path.link),
    }
    return found | ({"flags": ON_LINK} if path.on_link else {})


@singledispatch
def perform(step: Step, kernel: Any) -> None:
    """Carry out a step in this thread's namespace. Raises OSError, NetlinkError."""
    del kernel
    raise TypeError(f"{type(step).__name__} is no step of the kernel")


@perform.register
def _(step: RemoveLink, kernel: Any) -> None:
    with tolerant(GONE):
        for index in kernel.link_lookup(ifname=step.name):
            kernel.link("del", index=index)


@perform.register
def _(step: SetLink, kernel: Any) -> None:
    index = index_of(kernel, step.name)
    if step.mac is not None:
        kernel.link("set", index=index, address=step.mac)
    if step.master is not None:
        master = index_of(kernel, step.master) if step.master else 0
        kernel.link("set", index=index, master=master)
    if step.up is not None:
        kernel.link("set", index=index, state="up" if step.up else "down")
    if (
        step.mtu is not None
    ):  # last: a tunnel's device may refuse it, and carries shorter frames then
        kernel.link("set", index=index, mtu=step.mtu)


@perform.register
def _(step: AddAddress, kernel: Any) -> None:
    parsed = ip_interface(step.address)
    values: dict[str, Any] = {"address": str(parsed.ip), "prefixlen": parsed.network.prefixlen}
    if parsed.version == 6:
        values["flags"] = NO_DAD
    with tolerant(THERE):
        kernel.addr("add", index=index_of(kernel, step.link), **values)


@perform.register
def _(step: RemoveAddress, kernel: Any) -> None:
    parsed = ip_interface(step.address)
    with tolerant(GONE):
        kernel.addr(
            "del",
            index=index_of(kernel, step.link),
            address=str(parsed.ip),
            prefixlen=parsed.network.prefixlen,
        )


@perform.register
def _(step: AddPath, kernel: Any) -> None:
    kernel.route("replace", **_route(kernel, step))


@perform.register
def _(step: RemovePath, kernel: Any) -> None:
    with tolerant(GONE):
        kernel.route("del", **_route(kernel, step))


@perform.register
def _(step: AddFlood, kernel: Any) -> None:
    with tolerant(THERE):
        kernel.fdb("append", ifindex=index_of(kernel, step.link), lladdr=FLOOD, dst=step.peer)


@perform.register
def _(step: RemoveFlood, kernel: Any) -> None:
    with tolerant(GONE):
        kernel.fdb("del", ifindex=index_of(kernel, step.link), lladdr=FLOOD, dst=step.peer)


@perform.register
def _(step: Setting, kernel: Any) -> None:
    del kernel
    (SETTINGS / step.key).write_text(step.value)


def perform_all(steps: list[Step]) -> list[tuple[Step, str]]:
    """Carry out steps of one namespace, in this thread, which is in it; those that failed, and why."""
    failed: list[tuple[Step, str]] = []
    with IPRoute() as kernel:
        for step in steps:
            try:
                perform(step, kernel)
            except (OSError, NetlinkError) as error:
                failed.append((step, str(error)))
    announce.send_all(announced(steps))
    return failed


def announced(steps: list[Step]) -> list[tuple[str, str]]:
    """Interfaces and their new addresses of which neighbours shall hear."""
    found = []
    for step in steps:
        if isinstance(step, AddAddress) and step.link != "lo":
            parsed = ip_interface(step.address)
            if parsed.version == 4:
                found.append((step.link, str(parsed.ip)))
    return found


def make_links(steps: list[AddLink]) -> list[tuple[Step, str]]:
    """Make interfaces, in a thread that is in the machine's namespace; those that failed, and why."""
    failed: list[tuple[Step, str]] = []
    for step in steps:
        try:
            add_link(step.space, step.link)
        except (OSError, NetlinkError) as error:
            failed.append((step, str(error)))
    return failed
