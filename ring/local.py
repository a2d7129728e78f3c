"""What one machine has of the ring: its devices, and the processes that serve them. Pure.

The ring is the only list of devices. Devices of one address are served by one objectd, which is named
after the address, so that every process of the machine finds its unix socket without asking.
"""

from __future__ import annotations

from collections.abc import Iterable

from ring.device import Device


def devices_of(devices: Iterable[Device], node: str) -> tuple[Device, ...]:
    """The devices of one machine, in the order given."""
    return tuple(device for device in devices if device.node == node)


def objectd_name(address: str) -> str:
    """Name of the objectd at an address: "objectd-0" for unix:RUN/objectd-0.sock, else by port."""
    kind, _, rest = address.partition(":")
    if kind == "unix":
        name = rest.rpartition("/")[2]
        return name.removesuffix(".sock")
    return f"objectd-{rest.rpartition(':')[2]}"


def objectd_names(devices: Iterable[Device], node: str) -> tuple[str, ...]:
    """The processes of one machine, in the order of the lowest device of each."""
    return tuple(dict.fromkeys(objectd_name(one.address) for one in devices_of(devices, node)))


def served_by(devices: Iterable[Device], node: str, name: str) -> tuple[Device, ...]:
    """The devices of one objectd of one machine."""
    return tuple(
        device for device in devices_of(devices, node) if objectd_name(device.address) == name
    )
