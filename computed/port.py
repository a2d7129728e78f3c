"""What a host's compute agent is told and what it tells, and what it asks of a hypervisor.

The agent asks for all the servers of its host (`GET /compute/host/HOST?seen=VERSION&wait_s=S`, which answers when they
differ from the version seen), compares them with what the hypervisor runs, takes one idempotent step after another,
and reports (`POST /compute/host/HOST`). What is wanted is complete, never a difference; what must happen once (a reboot)
is an order with an id, which the agent remembers durably. Both sides are of the role `service`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

RUNNING, STOPPED, PAUSED, SUSPENDED, ABSENT = "running", "stopped", "paused", "suspended", "absent"
CRASHED = "crashed"  # only observed


class Disk(msgspec.Struct, frozen=True):
    """A volume as an NBD export, by the unix socket of this host's block daemon or over TCP."""

    volume_id: str
    attachment_id: str
    device: str  # vda
    export: str
    unix_socket: str = ""
    host: str = ""
    port: int = 0
    size_bytes: int = 0
    read_only: bool = False
    boot_index: int = -1  # 0 is booted from
    bus: str = "virtio"
    kind: str = "disk"  # or cdrom
    tag: str = ""


class Interface(msgspec.Struct, frozen=True):
    """A network port; its tap is made by the network agent of this host."""

    port_id: str
    mac: str
    tap: str
    mtu: int = 0
    model: str = "virtio"
    tag: str = ""


class Domain(msgspec.Struct, frozen=True):
    """The machine of a server."""

    server_id: str
    name: str  # instance-00000001
    memory_mb: int
    vcpus: int
    disks: tuple[Disk, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    config_drive: dict[str, str] = {}  # path: base64 of its contents; no drive when empty
    machine: str = ""  # machine type of the image's properties; the driver's default when empty
    firmware: str = ""  # uefi when the image asks
    project_id: str = ""
    user_id: str = ""
    display_name: str = ""
    flavor_name: str = ""


class Order(msgspec.Struct, frozen=True):
    """Something that happens once."""

    id: int  # of one server, growing
    kind: str  # start, reboot (guest is asked first), reset, resize_disk (argument: attachment id)
    argument: str = ""


class Wanted(msgspec.Struct, frozen=True):
    """What one server should be here. Without a domain nothing of it may remain on the host."""

    server_id: str
    domain: Domain | None
    power: str = RUNNING
    orders: tuple[Order, ...] = ()
    stop_s: int = 60  # how long a guest may take to power itself off


class HostWanted(msgspec.Struct, frozen=True):
    """All servers of a host."""

    version: str
    host: str
    servers: tuple[Wanted, ...] = ()


class Observed(msgspec.Struct, frozen=True):
    """What one server is."""

    server_id: str
    power: str
    order_done: int = 0  # the highest id of an order carried out
    fault: str = ""  # why the wanted state cannot be reached; the agent goes on trying
    disks: tuple[str, ...] = ()  # attachment ids in the machine
    interfaces: tuple[str, ...] = ()  # port ids in the machine
    vnc_port: int = 0
    started_us: int = 0  # when the guest's first instruction ran, wall clock


class Capacity(msgspec.Struct, frozen=True):
    """What a host offers."""

    vcpus: int
    memory_mb: int
    disk_gb: int
    hypervisor_type: str  # QEMU, KVM, fake
    hypervisor_version: int
    hostname: str
    host_ip: str = ""
    cpu_info: dict[str, str] = {}
    traits: tuple[str, ...] = ()


class HostReport(msgspec.Struct, frozen=True):
    """What a host has, all of it. `version` is the one that was wanted when it was observed."""

    version: str
    capacity: Capacity
    servers: tuple[Observed, ...] = ()
    console: str = ""  # address of the host's console proxy, `host:port`, when it has one


class Hypervisor(Protocol):
    """What makes machines: libvirt, or the fake in memory. Every verb may be repeated.

    Raises NotFound for a server it does not have (but `destroy` of one is done), Refused for what it cannot do, Unavailable
    when trying again may help.
    """

    async def capacity(self) -> Capacity:
        """What the host offers."""
        ...

    async def observe(self) -> dict[str, Observed]:
        """Every machine of this cloud on the host, by server id."""
        ...

    async def define(self, domain: Domain) -> None:
        """Make the machine's definition what is wanted; one that runs keeps running and changes at its next start."""
        ...

    async def start(self, server_id: str) -> None:
        """Power on; nothing when it runs."""
        ...

    async def shutdown(self, server_id: str) -> None:
        """Ask the guest to power itself off."""
        ...

    async def stop(self, server_id: str) -> None:
        """Power off."""
        ...

    async def reset(self, server_id: str) -> None:
        """The reset button."""
        ...

    async def pause(self, server_id: str) -> None:
        """Stop the processors."""
        ...

    async def resume(self, server_id: str) -> None:
        """Let the processors go on, of a paused or a suspended machine."""
        ...

    async def suspend(self, server_id: str) -> None:
        """Keep its memory in a file and power off."""
        ...

    async def destroy(self, server_id: str) -> None:
        """Power off and forget, with all its files."""
        ...

    async def attach_disk(self, server_id: str, disk: Disk) -> None:
        """Plug a disk into the machine, running or not."""
        ...

    async def detach_disk(self, server_id: str, attachment_id: str) -> None:
        """Unplug it; returns when the guest has let go."""
        ...

    async def resize_disk(self, server_id: str, disk: Disk) -> None:
        """Tell the guest that a disk has grown."""
        ...

    async def attach_interface(self, server_id: str, interface: Interface) -> None:
        """Plug an interface into the machine."""
        ...

    async def detach_interface(self, server_id: str, port_id: str) -> None:
        """Unplug it."""
        ...

    async def console_log(self, server_id: str) -> bytes:
        """What the guest has written to its serial console, the last 1 MiB."""
        ...

    async def diagnostics(self, server_id: str) -> dict[str, object]:
        """Counters, in the form of Compute's microversion 2.48."""
        ...
