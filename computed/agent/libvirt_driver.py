"""`computed.port.Hypervisor` by libvirt: one private libvirtd of this cloud, and only its machines.

Calls of libvirt block, so they run in threads; each verb looks at what is there and does only what is missing, so it may be
repeated after anything. What a machine has plugged in is read from the machine (see `domain_xml`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import msgspec

from computed.agent import binding, growth
from computed.agent.config_drive import write_config_drive
from computed.agent.domain_xml import (
    Surroundings,
    config_drive_path,
    console_socket,
    device_xml,
    devices_of,
    disk_element,
    domain_xml,
    interface_element,
    serial_log,
    serial_socket,
    target_of,
    text_of,
    with_disk,
)
from computed.port import (
    CRASHED,
    PAUSED,
    RUNNING,
    STOPPED,
    SUSPENDED,
    Capacity,
    Disk,
    Domain,
    Interface,
    Observed,
)
from core.env import Env
from core.errors import NotFound, Refused, RingstackError, Unavailable

log = logging.getLogger("ringstack.compute")
T = TypeVar("T")

THREADS = 4
LOG_BYTES = 1 << 20
UNPLUG_S = 8.0
UNPLUG_LOOK_S = 0.1


class LibvirtHypervisor:
    """The machines of one host. `open` first."""

    def __init__(self, env: Env, uri: str, around: Surroundings, capacity: Capacity) -> None:
        self._env = env
        self._uri = uri
        self._around = around
        self._capacity = capacity
        self._threads = ThreadPoolExecutor(THREADS, "libvirt")
        self._libvirt: ModuleType = binding.load()
        self._libvirt.registerErrorHandler(
            lambda _context, _error: None, None
        )  # they are raised as well
        self._connection: Any = None
        self._started_us: dict[str, int] = {}

    async def _run(self, work: Callable[[], T]) -> T:
        """Do something that blocks. Raises NotFound, Refused, Unavailable for libvirt's errors."""

        def guarded() -> T:
            try:
                return work()
            except self._libvirt.libvirtError as error:
                raise self._translated(error) from None

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    def _translated(self, error: Any) -> RingstackError:
        code, message = error.get_error_code(), str(error.get_error_message())
        libvirt = self._libvirt
        if code == libvirt.VIR_ERR_NO_DOMAIN:
            return NotFound("NoMachine", message)
        if code in {libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_CONFIG_UNSUPPORTED}:
            return Refused("BadMachine", message)
        return Unavailable("Hypervisor", message)

    def _open(self) -> Any:
        if self._connection is None or not self._connection.isAlive():
            self._connection = self._libvirt.open(self._uri)
        return self._connection

    def _domain(self, server_id: str) -> Any:
        return self._open().lookupByUUIDString(server_id)

    def close(self) -> None:
        """Let go of libvirt; machines run on."""
        self._threads.shutdown(wait=True)
        if self._connection is not None:
            with contextlib.suppress(self._libvirt.libvirtError):
                self._connection.close()

    # -- what there is -------------------------------------------------------------------------

    async def capacity(self) -> Capacity:
        """What the host offers."""
        version = await self._run(lambda: self._open().getVersion())
        return Capacity(
            **{
                **{name: getattr(self._capacity, name) for name in Capacity.__struct_fields__},
                "hypervisor_version": int(version),
            }
        )

    async def observe(self) -> dict[str, Observed]:
        """Every machine, by server id."""

        def look() -> dict[str, Observed]:
            found = {}
            for domain in self._open().listAllDomains():
                with contextlib.suppress(self._libvirt.libvirtError):  # it may go meanwhile
                    one = self._observed(domain)
                    found[one.server_id] = one
            return found

        return await self._run(look)

    def _observed(self, domain: Any) -> Observed:
        server_id = domain.UUIDString()
        devices = devices_of(domain.XMLDesc())
        power = self._power(domain)
        return Observed(
            server_id,
            power,
            disks=devices.disks,
            interfaces=devices.interfaces,
            started_us=self._started_us.get(server_id, 0),
        )

    def _power(self, domain: Any) -> str:
        libvirt, (state, _) = self._libvirt, domain.state()
        if state in {
            libvirt.VIR_DOMAIN_RUNNING,
            libvirt.VIR_DOMAIN_BLOCKED,
            libvirt.VIR_DOMAIN_SHUTDOWN,
        }:
            return RUNNING
        if state == libvirt.VIR_DOMAIN_PAUSED:
            return PAUSED
        if state == libvirt.VIR_DOMAIN_PMSUSPENDED or domain.hasManagedSaveImage():
            return SUSPENDED
        return CRASHED if state == libvirt.VIR_DOMAIN_CRASHED else STOPPED

    # -- power ---------------------------------------------------------------------------------

    async def define(self, domain: Domain) -> None:
        """Make the definition what is wanted."""
        directory = self._around.directory
        if domain.config_drive:
            path = config_drive_path(directory, domain.server_id)
            await self._run(lambda: write_config_drive(Path(path), domain.config_drive))
        xml = domain_xml(domain, self._around)
        await self._run(lambda: self._open().defineXML(xml))

    async def start(self, server_id: str) -> None:
        """Power on."""

        def work() -> None:
            domain = self._domain(server_id)
            if not domain.isActive():
                domain.create()
                self._started_us[server_id] = self._env.wall_us()

        await self._run(work)

    async def shutdown(self, server_id: str) -> None:
        """Ask the guest."""

        def work() -> None:
            domain = self._domain(server_id)
            if self._power(domain) == RUNNING:
                domain.shutdown()

        await self._run(work)

    async def stop(self, server_id: str) -> None:
        """Power off; memory that was kept is dropped."""

        def work() -> None:
            domain = self._domain(server_id)
            if domain.isActive():
                domain.destroy()
            elif domain.hasManagedSaveImage():
                domain.managedSaveRemove()

        await self._run(work)

    async def reset(self, server_id: str) -> None:
        """The reset button."""
        await self._run(lambda: self._domain(server_id).reset())

    async def pause(self, server_id: str) -> None:
        """Stop the processors."""

        def work() -> None:
            domain = self._domain(server_id)
            if self._power(domain) == RUNNING:
                domain.suspend()

        await self._run(work)

    async def resume(self, server_id: str) -> None:
        """Let the processors go on."""

        def work() -> None:
            domain = self._domain(server_id)
            power = self._power(domain)
            if power == PAUSED:
                domain.resume()
            elif power == SUSPENDED:
                domain.create()

        await self._run(work)

    async def suspend(self, server_id: str) -> None:
        """Keep its memory and power off."""

        def work() -> None:
            domain = self._domain(server_id)
            if domain.isActive():
                domain.managedSave()

        await self._run(work)

    async def destroy(self, server_id: str) -> None:
        """Power off and forget, with all its files."""
        with contextlib.suppress(NotFound):
            await self._run(lambda: self._destroy(server_id))
        self._started_us.pop(server_id, None)
        directory = self._around.directory
        files = [
            serial_log(directory, server_id),
            config_drive_path(directory, server_id),
            serial_socket(directory, server_id),
            console_socket(directory, server_id),
        ]
        await self._run(lambda: remove_files(files))

    def _destroy(self, server_id: str) -> None:
        libvirt, domain = self._libvirt, self._domain(server_id)
        if domain.isActive():
            domain.destroy()
        domain.undefineFlags(
            libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
        )

    # -- devices -------------------------------------------------------------------------------

    def _scope(self, domain: Any) -> int:
        """The definition, and the machine itself when it runs."""
        libvirt = self._libvirt
        live = libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0
        return int(libvirt.VIR_DOMAIN_AFFECT_CONFIG | live)

    async def _attach(self, server_id: str, kind: str, alias: str, xml: str) -> None:
        def work() -> None:
            domain = self._domain(server_id)
            if device_xml(domain.XMLDesc(), kind, alias) is None:
                domain.attachDeviceFlags(xml, self._scope(domain))

        await self._run(work)

    async def _detach(self, server_id: str, kind: str, alias: str) -> None:
        """Ask the guest to let go and wait for a while. Raises Unavailable when it has not."""

        def ask() -> bool:
            domain = self._domain(server_id)
            for flags, scope in self._scopes(domain):
                element = device_xml(domain.XMLDesc(flags), kind, alias)
                if element is not None:
                    domain.detachDeviceFlags(element, scope)
            return gone()

        def gone() -> bool:
            return device_xml(self._domain(server_id).XMLDesc(), kind, alias) is None

        if await self._run(ask):
            return
        for _ in range(int(UNPLUG_S / UNPLUG_LOOK_S)):
            await asyncio.sleep(UNPLUG_LOOK_S)
            if await self._run(gone):
                return
        raise Unavailable("StillPlugged", "the guest has not let go of the device yet")

    def _scopes(self, domain: Any) -> list[tuple[int, int]]:
        """Flags to look at a description, and to change it: first what will be, then what is."""
        libvirt = self._libvirt
        inactive = [(libvirt.VIR_DOMAIN_XML_INACTIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG)]
        return [*inactive, (0, libvirt.VIR_DOMAIN_AFFECT_LIVE)] if domain.isActive() else inactive

    async def attach_disk(self, server_id: str, disk: Disk) -> None:
        """Plug a disk in; one that is booted from can be plugged into a definition only as a whole."""
        plain = text_of(disk_element(msgspec.structs.replace(disk, boot_index=-1)))
        libvirt = self._libvirt

        def work() -> None:
            domain = self._domain(server_id)
            coming = domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
            if device_xml(coming, "disk", disk.attachment_id) is None:
                self._open().defineXML(with_disk(coming, disk))
            if (
                domain.isActive()
                and device_xml(domain.XMLDesc(), "disk", disk.attachment_id) is None
            ):
                domain.attachDeviceFlags(plain, libvirt.VIR_DOMAIN_AFFECT_LIVE)

        await self._run(work)

    async def detach_disk(self, server_id: str, attachment_id: str) -> None:
        """Unplug it."""
        await self._detach(server_id, "disk", attachment_id)

    async def resize_disk(self, server_id: str, disk: Disk) -> None:
        """Tell the guest that a disk has grown.

        One that is off learns it at its next start.
        """

        def work() -> None:
            domain = self._domain(server_id)
            if domain.isActive():
                growth.tell(lambda command: binding.monitor_command(domain, command), disk)

        await self._run(work)

    async def attach_interface(self, server_id: str, interface: Interface) -> None:
        """Plug an interface in."""
        xml = text_of(interface_element(interface))
        await self._attach(server_id, "interface", interface.port_id, xml)

    async def detach_interface(self, server_id: str, port_id: str) -> None:
        """Unplug it."""
        await self._detach(server_id, "interface", port_id)

    # -- what the guest says -------------------------------------------------------------------

    async def console_log(self, server_id: str) -> bytes:
        """The end of what it has written to its serial line."""
        path = Path(serial_log(self._around.directory, server_id))

        def read() -> bytes:
            self._domain(server_id)
            try:
                with path.open("rb") as source:
                    source.seek(0, 2)
                    source.seek(max(0, source.tell() - LOG_BYTES))
                    return source.read()
            except FileNotFoundError:
                return b""

        return await self._run(read)

    async def screenshot(self, server_id: str) -> bytes:
        """The screen as a portable pixmap."""

        def work() -> bytes:
            stream = self._open().newStream()
            self._domain(server_id).screenshot(stream, 0)
            pieces: list[bytes] = []
            stream.recvAll(lambda _stream, data, _opaque: pieces.append(bytes(data)), None)
            stream.finish()
            return b"".join(pieces)

        return await self._run(work)

    async def diagnostics(self, server_id: str) -> dict[str, object]:
        """Counters, in the form of microversion 2.48."""

        def work() -> dict[str, object]:
            domain = self._domain(server_id)
            _, maximum_kib, used_kib, count, busy_ns = domain.info()
            devices = devices_of(domain.XMLDesc())
            power, active = self._power(domain), domain.isActive()
            disks = [target_of(domain.XMLDesc(), one) for one in devices.disks]
            stats = [domain.blockStats(disk) if active else (0, 0, 0, 0, 0) for disk in disks]
            return {
                "state": power if power in {RUNNING, PAUSED, CRASHED} else "shutdown",
                "driver": "libvirt",
                "hypervisor": self._around.kind,
                "hypervisor_os": "linux",
                "uptime": self._uptime_s(server_id) if active else 0,
                "config_drive": Path(config_drive_path(self._around.directory, server_id)).exists(),
                "num_cpus": count,
                "num_nics": len(devices.interfaces),
                "num_disks": len(devices.disks),
                "memory_details": {"maximum": maximum_kib // 1024, "used": used_kib // 1024},
                "cpu_details": [
                    {"id": number, "time": busy_ns // max(count, 1), "utilisation": None}
                    for number in range(count)
                ],
                "nic_details": [],
                "disk_details": [
                    {
                        "read_requests": row[0],
                        "read_bytes": row[1],
                        "write_requests": row[2],
                        "write_bytes": row[3],
                        "errors_count": row[4],
                    }
                    for row in stats
                ],
            }

        return await self._run(work)

    def _uptime_s(self, server_id: str) -> int:
        started_us = self._started_us.get(server_id, self._env.wall_us())
        return (self._env.wall_us() - started_us) // 1_000_000


def remove_files(paths: Iterable[str]) -> None:
    """Those that are there."""
    for path in paths:
        Path(path).unlink(missing_ok=True)
