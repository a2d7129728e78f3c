"""The dnsmasq of each network and of each router that advertises: files, start, reload, stop.

They are daemons of their own, so guests get their addresses while the agent is away; which one runs is known from its files in
`/run`, as the namespaces are. A process drops root, reads changed addresses again on SIGHUP without forgetting a lease, and is
started again only when ranges change, or when an address is leased to a MAC that has it no more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
from collections.abc import Iterable
from pathlib import Path

from core import command
from core.env import Env
from core.errors import RingstackError, Unavailable
from networkd.agent import inside
from networkd.plan.plan import Service

ROOT = Path("/run/ringstack")
CONFIG, LEASES, PID, LOG = "config", "leases", "pid", "log"
USERS = ("dnsmasq", "nobody")
GENERAL = (
    "no-hosts",
    "no-resolv",
    "no-negcache",
    "bind-dynamic",
    "except-interface=lo",
    "quiet-dhcp",
    "quiet-dhcp6",
    "quiet-ra",
)
LINES = {"hosts": "dhcp-hostsfile", "options": "dhcp-optsfile", "names": "addn-hosts"}
STOP_S, LOOK_S = 2.0, 0.01


def user() -> str:
    """Whom a dnsmasq becomes once it has its sockets."""
    for name in USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    return "root"


def configuration(service: Service, directory: Path) -> str:
    """The whole configuration of one."""
    lines = [
        *GENERAL,
        f"user={user()}",
        f"pid-file={directory / PID}",
        f"log-facility={directory / LOG}",
        f"dhcp-leasefile={directory / LEASES}",
        *(f"{LINES[name]}={directory / name}" for name in service.files),
        *service.config,
    ]
    return "".join(f"{line}\n" for line in lines)


def parse_leases(text: str) -> set[tuple[str, str]]:
    """(MAC, address) of each IPv4 lease in dnsmasq's file."""
    rows = (line.split() for line in text.splitlines())
    return {(row[1], row[2]) for row in rows if len(row) == 5 and row[1].count(":") == 5}


def in_the_way(held: set[tuple[str, str]], wanted: Iterable[tuple[str, str]]) -> set[str]:
    """Addresses that are leased to a MAC but belong to another."""
    owners: dict[str, set[str]] = {}
    for mac, address in wanted:
        owners.setdefault(address, set()).add(mac)
    return {address for mac, address in held if address in owners and mac not in owners[address]}


def replace(path: Path, text: str) -> bool:
    """Write a file whole, or not at all; False when it was like that already."""
    with contextlib.suppress(FileNotFoundError):
        if path.read_text() == text:
            return False
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(path)
    return True


def process_of(directory: Path) -> int | None:
    """The running process of a directory."""
    try:
        pid = int((directory / PID).read_text())
        command_line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(directory / CONFIG).encode() in command_line else None


class Dnsmasqs:
    """All of one host."""

    def __init__(self, env: Env, host_space: str, root: Path = ROOT) -> None:
        self._env = env
        self._root = root / host_space

    def _write(self, service: Service) -> tuple[bool, bool, bool]:
        """Write what differs: whether the configuration did, whether another file did, whether a lease is in the way."""
        directory = self._root / service.id
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        files = [replace(directory / name, text) for name, text in service.files.items()]
        config = replace(directory / CONFIG, configuration(service, directory))
        held: set[tuple[str, str]] = set()
        with contextlib.suppress(FileNotFoundError):
            held = parse_leases((directory / LEASES).read_text())
        return config, any(files), bool(in_the_way(held, service.leases))

    async def settle(self, services: dict[str, Service]) -> dict[str, str]:
        """Make the running ones the wanted ones; what failed, by id."""
        faults: dict[str, str] = {}
        for one in self._directories() - services.keys():
            await self.stop(one)
            shutil.rmtree(self._root / one, ignore_errors=True)
        for service in services.values():
            try:
                await self._settle_one(service)
            except (RingstackError, OSError) as error:
                faults[service.id] = f"dnsmasq: {error}"
        return faults

    def _directories(self) -> set[str]:
        with contextlib.suppress(FileNotFoundError):
            return {one.name for one in self._root.iterdir() if one.is_dir()}
        return set()

    async def _settle_one(self, service: Service) -> None:
        config, files, stale = await self._env.offload(lambda: self._write(service))
        pid = process_of(self._root / service.id)
        if pid is not None and not config and not stale:
            if files:
                os.kill(pid, signal.SIGHUP)
            return
        await self.stop(service.id)
        self._purge(service)
        done = await command.run(
            *inside.tool(
                service.space, "dnsmasq", f"--conf-file={self._root / service.id / CONFIG}"
            )
        )
        if done.status:
            raise Unavailable("Dnsmasq", done.errors[:500] or f"status {done.status}")

    def _purge(self, service: Service) -> None:
        """Take leases that are in the way out of the file; nobody has it open."""
        path = self._root / service.id / LEASES
        with contextlib.suppress(FileNotFoundError):
            text = path.read_text()
            away = in_the_way(parse_leases(text), service.leases)
            kept = [line for line in text.splitlines() if not away.intersection(line.split()[2:3])]
            replace(path, "".join(f"{line}\n" for line in kept))

    async def stop(self, service_id: str) -> None:
        """End a process; what it has leased stays in its file."""
        pid = process_of(self._root / service_id)
        if pid is None:
            return
        os.kill(pid, signal.SIGTERM)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STOP_S
        while process_of(self._root / service_id) == pid:
            if loop.time() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += STOP_S
            await asyncio.sleep(LOOK_S)

    async def stop_all(self) -> None:
        """End them all and forget their files."""
        for one in self._directories():
            await self.stop(one)
        shutil.rmtree(self._root, ignore_errors=True)
