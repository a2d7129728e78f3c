"""A hypervisor in memory: machines that do at once what they are told. For tests, simulation and scale.

`reboots` counts, `events` tells what was done; a test may make a verb fail (`failing`) or a guest deaf (`deaf`: it
ignores the power button).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

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
from core.errors import NotFound, Refused, Unavailable

LOG = "".join(f"[    0.{line:06}] fake machine {{name}}: line {line}\n" for line in range(20))


@dataclass
class Machine:
    """One machine."""

    domain: Domain
    power: str = STOPPED
    disks: dict[str, Disk] = field(default_factory=dict)
    interfaces: dict[str, Interface] = field(default_factory=dict)
    started_us: int = 0
    log: str = ""
    boots: int = 0


class FakeHypervisor:
    """`computed.port.Hypervisor` in memory."""

    def __init__(self, env: Env, capacity: Capacity) -> None:
        self._env = env
        self._capacity = capacity
        self.machines: dict[str, Machine] = {}
        self.failing: dict[str, Unavailable | Refused] = {}  # by verb
        self.deaf: set[str] = set()
        self.verbs: Counter[str] = Counter()

    def _machine(self, verb: str, server_id: str) -> Machine:
        self._note(verb)
        machine = self.machines.get(server_id)
        if machine is None:
            raise NotFound("NoMachine", f"there is no machine of server {server_id}")
        return machine

    def _note(self, verb: str) -> None:
        if verb in self.failing:
            raise self.failing[verb]
        self.verbs[verb] += 1

    async def capacity(self) -> Capacity:
        """What the host offers."""
        return self._capacity

    async def observe(self) -> dict[str, Observed]:
        """Every machine."""
        return {
            server_id: Observed(
                server_id,
                machine.power,
                disks=tuple(machine.disks),
                interfaces=tuple(machine.interfaces),
                vnc_port=5900 if machine.power == RUNNING else 0,
                started_us=machine.started_us,
            )
            for server_id, machine in self.machines.items()
        }

    async def define(self, domain: Domain) -> None:
        """Make or change the definition."""
        self._note("define")
        machine = self.machines.setdefault(domain.server_id, Machine(domain))
        machine.domain = domain
        if machine.power in {STOPPED, CRASHED}:
            machine.disks = {disk.attachment_id: disk for disk in domain.disks}
            machine.interfaces = {one.port_id: one for one in domain.interfaces}

    async def start(self, server_id: str) -> None:
        """Power on."""
        machine = self._machine("start", server_id)
        if machine.power in {STOPPED, CRASHED}:
            machine.power = RUNNING
            machine.boots += 1
            machine.started_us = self._env.wall_us()
            machine.log += LOG.format(name=machine.domain.name)

    async def shutdown(self, server_id: str) -> None:
        """The power button, which the guest obeys unless it is deaf."""
        machine = self._machine("shutdown", server_id)
        if machine.power == RUNNING and server_id not in self.deaf:
            machine.power = STOPPED

    async def stop(self, server_id: str) -> None:
        """Power off."""
        self._machine("stop", server_id).power = STOPPED

    async def reset(self, server_id: str) -> None:
        """The reset button."""
        machine = self._machine("reset", server_id)
        if machine.power in {STOPPED, CRASHED}:
            raise Refused("NotRunning", "the machine is off")
        machine.power = RUNNING
        machine.boots += 1

    async def pause(self, server_id: str) -> None:
        """Stop the processors."""
        self._move("pause", server_id, RUNNING, PAUSED)

    async def resume(self, server_id: str) -> None:
        """Go on."""
        machine = self._machine("resume", server_id)
        if machine.power in {PAUSED, SUSPENDED}:
            machine.power = RUNNING

    async def suspend(self, server_id: str) -> None:
        """Keep the memory and power off."""
        self._move("suspend", server_id, RUNNING, SUSPENDED)

    def _move(self, verb: str, server_id: str, before: str, after: str) -> None:
        machine = self._machine(verb, server_id)
        if machine.power not in {before, after}:
            raise Refused("WrongPower", f"the machine is {machine.power}")
        machine.power = after

    async def destroy(self, server_id: str) -> None:
        """Forget it."""
        self._note("destroy")
        self.machines.pop(server_id, None)

    async def attach_disk(self, server_id: str, disk: Disk) -> None:
        """Plug a disk in."""
        self._machine("attach_disk", server_id).disks[disk.attachment_id] = disk

    async def detach_disk(self, server_id: str, attachment_id: str) -> None:
        """Unplug it."""
        self._machine("detach_disk", server_id).disks.pop(attachment_id, None)

    async def resize_disk(self, server_id: str, disk: Disk) -> None:
        """Tell the guest."""
        self._machine("resize_disk", server_id).disks[disk.attachment_id] = disk

    async def attach_interface(self, server_id: str, interface: Interface) -> None:
        """Plug an interface in."""
        self._machine("attach_interface", server_id).interfaces[interface.port_id] = interface

    async def detach_interface(self, server_id: str, port_id: str) -> None:
        """Unplug it."""
        self._machine("detach_interface", server_id).interfaces.pop(port_id, None)

    async def console_log(self, server_id: str) -> bytes:
        """What it has written."""
        return self._machine("console_log", server_id).log.encode()

    async def diagnostics(self, server_id: str) -> dict[str, object]:
        """Counters in the form of microversion 2.48."""
        machine = self._machine("diagnostics", server_id)
        domain = machine.domain
        return {
            "state": machine.power if machine.power in {RUNNING, PAUSED} else "shutdown",
            "driver": "libvirt",
            "hypervisor": "fake",
            "hypervisor_os": "linux",
            "uptime": max(0, self._env.wall_us() - machine.started_us) // 1_000_000,
            "config_drive": bool(domain.config_drive),
            "num_cpus": domain.vcpus,
            "num_nics": len(machine.interfaces),
            "num_disks": len(machine.disks),
            "memory_details": {"maximum": domain.memory_mb, "used": domain.memory_mb},
            "cpu_details": [
                {"id": number, "time": 0, "utilisation": 0} for number in range(domain.vcpus)
            ],
            "nic_details": [
                {"mac_address": one.mac, "rx_octets": 0, "rx_packets": 0, "tx_octets": 0}
                for one in machine.interfaces.values()
            ],
            "disk_details": [
                {"read_bytes": 0, "read_requests": 0, "write_bytes": 0, "write_requests": 0}
                for _ in machine.disks
            ],
        }
