"""What a host must do next so that its machines become what is wanted. Pure.

`steps` looks at one moment and names what can be done now, in order; the agent does it, observes again and asks again.
Everything may be repeated: after a crash the same question gives the rest. A guest that powered itself off stays off:
a machine is started only while an order to start (or reboot) it is open, or when it does not exist at all.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from computed.port import (
    ABSENT,
    CRASHED,
    PAUSED,
    RUNNING,
    STOPPED,
    SUSPENDED,
    Disk,
    Domain,
    HostWanted,
    Interface,
    Observed,
    Order,
    Wanted,
)

# Verbs of a step. All but DONE are verbs of the hypervisor with the same name. SHUTDOWN asks the guest; whoever performs it
# asks once and powers the machine off (`stop`) when it has not obeyed after `stop_s` seconds.
DEFINE, START, SHUTDOWN, STOP, PAUSE = "define", "start", "shutdown", "stop", "pause"
RESUME, SUSPEND, DESTROY = "resume", "suspend", "destroy"
ATTACH_DISK, DETACH_DISK, RESIZE_DISK = "attach_disk", "detach_disk", "resize_disk"
ATTACH_INTERFACE, DETACH_INTERFACE = "attach_interface", "detach_interface"
DONE = "done"  # nothing to do but to remember that the order was carried out

# Kinds of orders.
ORDER_START, ORDER_REBOOT, ORDER_RESET, ORDER_RESIZE = "start", "reboot", "reset", "resize_disk"
OFF = frozenset({STOPPED, CRASHED})
IDLE = frozenset({PAUSED, SUSPENDED})


class Step(msgspec.Struct, frozen=True):
    """One thing to do. With an `order`, that order (and all before it) is carried out once this has been done."""

    server_id: str
    verb: str
    domain: Domain | None = None
    disk: Disk | None = None
    interface: Interface | None = None
    name: str = ""  # attachment id or port id of what is unplugged
    order: int = 0
    stop_s: int = 60


def steps(
    wanted: HostWanted, observed: Mapping[str, Observed], done: Mapping[str, int]
) -> list[Step]:
    """What to do now. `done`: the highest order carried out, by server id, as the host remembers durably."""
    named = {one.server_id for one in wanted.servers}
    found = [
        Step(server_id, DESTROY)
        for server_id in sorted(observed)
        if server_id not in named and observed[server_id].power != ABSENT
    ]
    for one in wanted.servers:
        seen = observed.get(one.server_id) or Observed(one.server_id, ABSENT)
        carried_out = max(done.get(one.server_id, 0), seen.order_done)
        found += steps_of(one, seen, carried_out)
    return found


def steps_of(wanted: Wanted, seen: Observed, carried_out: int) -> list[Step]:
    """The same for one server."""
    domain, name = wanted.domain, wanted.server_id
    if domain is None or wanted.power == ABSENT:
        return [Step(name, DESTROY)] if seen.power != ABSENT else []
    held = {disk.attachment_id for disk in domain.disks}
    orders = [
        order
        for order in wanted.orders
        if order.id > carried_out and (order.kind != ORDER_RESIZE or order.argument in held)
    ]
    found: list[Step] = []
    if seen.power == ABSENT:
        found.append(Step(name, DEFINE, domain=domain))
    else:
        found += plugging(domain, seen)
    return found + power_steps(wanted, domain, seen.power, orders) + grown(domain, orders)


def plugging(domain: Domain, seen: Observed) -> list[Step]:
    """What differs between a machine's devices and those wanted; what goes, goes first."""
    name = domain.server_id
    disks = {disk.attachment_id: disk for disk in domain.disks}
    interfaces = {one.port_id: one for one in domain.interfaces}
    found = [Step(name, DETACH_DISK, name=held) for held in sorted(seen.disks) if held not in disks]
    found += [
        Step(name, DETACH_INTERFACE, name=held)
        for held in sorted(seen.interfaces)
        if held not in interfaces
    ]
    found += [
        Step(name, ATTACH_DISK, disk=disk) for held, disk in disks.items() if held not in seen.disks
    ]
    found += [
        Step(name, ATTACH_INTERFACE, interface=one)
        for held, one in interfaces.items()
        if held not in seen.interfaces
    ]
    return found


def grown(domain: Domain, orders: list[Order]) -> list[Step]:
    """Disks whose new size the guest is to hear of; the argument is the attachment."""
    disks = {disk.attachment_id: disk for disk in domain.disks}
    return [
        Step(domain.server_id, RESIZE_DISK, disk=disks[order.argument], order=order.id)
        for order in orders
        if order.kind == ORDER_RESIZE and order.argument in disks
    ]


def power_steps(wanted: Wanted, domain: Domain, power: str, orders: list[Order]) -> list[Step]:
    """What leads from one power state to another; `orders` are those still open."""
    name, last = wanted.server_id, max((order.id for order in orders), default=0)
    kinds = {order.kind for order in orders}
    start = [Step(name, DEFINE, domain=domain), Step(name, START, order=last)]
    if wanted.power == STOPPED:
        return stopping(wanted, power, last)
    if power == ABSENT:
        return [Step(name, START, order=last)]
    if power in OFF:
        return start if kinds & {ORDER_START, ORDER_REBOOT, ORDER_RESET} else []
    if ORDER_RESET in kinds or (ORDER_REBOOT in kinds and power in IDLE):
        return [Step(name, STOP), *start]
    if ORDER_REBOOT in kinds:  # once it is off, the order to reboot starts it
        return [Step(name, SHUTDOWN, stop_s=wanted.stop_s)]
    if power == RUNNING and wanted.power in IDLE:
        return [Step(name, PAUSE if wanted.power == PAUSED else SUSPEND, order=last)]
    if power in IDLE and wanted.power != power:
        return [Step(name, RESUME, order=last)]
    settled = [order for order in orders if order.kind != ORDER_RESIZE]
    return [Step(name, DONE, order=last)] if settled and ORDER_RESIZE not in kinds else []


def stopping(wanted: Wanted, power: str, last: int) -> list[Step]:
    """A machine that is to be off; orders to start it were taken back."""
    name = wanted.server_id
    if power == RUNNING and wanted.stop_s > 0:
        return [Step(name, SHUTDOWN, stop_s=wanted.stop_s)]
    if power in {RUNNING, PAUSED, SUSPENDED}:
        return [Step(name, STOP)]
    return [Step(name, DONE, order=last)] if last else []
