"""Machines that are not there: network namespaces joined by a bridge, for fault tests of real processes.

Each node has a namespace with one interface and one address; a hub has the bridge, and an address for the
clients. A partition makes packets from one address to another vanish without a word, in one direction or
both, as a broken switch would. Needs root and iproute2. Whatever happens, nothing is left behind: the
namespaces carry the id of the process that made them, and the next run removes those of dead ones.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from core.errors import Refused

PREFIX = "ringstack"
SUBNET = "198.18.7"  # kept for benchmarks of networks (RFC 2544): in nobody's way
HUB_ADDRESS = f"{SUBNET}.254"
NOWHERE = "02:00:00:00:00:fe"  # a hardware address that nobody has
NAMESPACES = Path("/run/netns")
CLONE_NEWNET = 0x40000000
GONE_S = 5.0


class Network:
    """A bridge, and a namespace for each node, made by `start` and removed by `stop`."""

    def __init__(self) -> None:
        self._prefix = f"{PREFIX}-{os.getpid()}"
        self.hub = f"{self._prefix}-hub"
        self._nodes: list[str] = []
        self._blocked: set[tuple[int, int]] = set()

    def start(self) -> None:
        """Make the hub. Raises Refused where namespaces cannot be made."""
        remove_leftovers()
        if os.geteuid() != 0:
            raise Refused("NoNamespaces", "several nodes on one machine need root (namespaces)")
        try:
            ip(f"netns add {self.hub}")
            ip(f"-n {self.hub} link set lo up")
            ip(f"-n {self.hub} link add br0 type bridge")
            ip(f"-n {self.hub} addr add {HUB_ADDRESS}/24 dev br0")
            ip(f"-n {self.hub} link set br0 up")
        except (OSError, Refused) as error:
            self.stop()
            raise Refused(
                "NoNamespaces",
                f"several nodes on one machine need network namespaces, which this one does not allow: {error}",
            ) from None

    def add_node(self) -> int:
        """A namespace for one more node; returns its number, from 0."""
        number = len(self._nodes)
        name = f"{self._prefix}-n{number}"
        self._nodes.append(name)
        ip(f"netns add {name}")
        ip(f"-n {name} link set lo up")
        ip(f"-n {name} link add eth0 type veth peer name v{number} netns {self.hub}")
        ip(f"-n {name} addr add {self.address(number)}/24 dev eth0")
        ip(f"-n {name} link set eth0 up")
        ip(f"-n {self.hub} link set v{number} master br0 up")
        return number

    def address(self, number: int) -> str:
        """A node's address."""
        return f"{SUBNET}.{number + 1}"

    def command(self, number: int, *arguments: str) -> list[str]:
        """The command line that runs a program on a node."""
        return ["ip", "netns", "exec", self._nodes[number], *arguments]

    def pids(self, number: int) -> list[int]:
        """Every process of a node."""
        return _pids(self._nodes[number])

    def enter_hub(self) -> None:
        """Take this thread, and those it starts, to where the clients are."""
        fd = os.open(NAMESPACES / self.hub, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(fd, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(fd)

    # -- faults --------------------------------------------------------------------------------

    def block(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Packets from the first node of each pair to the second vanish; -1 is the clients' place."""
        fresh = set(pairs) - self._blocked
        self._blocked |= fresh
        for source in {source for source, _ in fresh}:
            lines = [
                f"neigh replace {self._place(target)} lladdr {NOWHERE} nud permanent dev "
                f"{self._device(source)}"
                for origin, target in sorted(fresh)
                if origin == source
            ]
            self._batch(source, lines)

    def split(self, one: Iterable[int], other: Iterable[int]) -> None:
        """A partition both ways."""
        left, right = list(one), list(other)
        self.block((a, b) for a in left for b in right)
        self.block((b, a) for a in left for b in right)

    def heal(self) -> None:
        """Let everything through again."""
        for source in {source for source, _ in self._blocked}:
            lines = [
                f"neigh del {self._place(target)} dev {self._device(source)}"
                for origin, target in sorted(self._blocked)
                if origin == source
            ]
            self._batch(source, lines)
        self._blocked.clear()

    def unplug(self, number: int) -> None:
        """Pull a node's cable."""
        ip(f"-n {self.hub} link set v{number} down")

    def plug(self, number: int) -> None:
        """Put it back."""
        ip(f"-n {self.hub} link set v{number} up")

    def _place(self, number: int) -> str:
        return HUB_ADDRESS if number < 0 else self.address(number)

    @staticmethod
    def _device(number: int) -> str:
        return "br0" if number < 0 else "eth0"

    def _batch(self, number: int, lines: list[str]) -> None:
        name = self.hub if number < 0 else self._nodes[number]
        subprocess.run(
            ["ip", "-n", name, "-force", "-batch", "-"],
            input="\n".join(lines) + "\n",
            text=True,
            capture_output=True,
            check=False,
        )

    def stop(self) -> None:
        """Remove every namespace, and first whatever still runs in it."""
        for name in [*self._nodes, self.hub]:
            _remove(name)
        self._nodes.clear()


def remove_leftovers() -> None:
    """Remove the namespaces of runs whose process has gone."""
    if not NAMESPACES.is_dir():
        return
    for path in NAMESPACES.glob(f"{PREFIX}-*-*"):
        maker = path.name.split("-")[1]
        if maker.isdigit() and not Path(f"/proc/{maker}").exists():
            _remove(path.name)


def ip(arguments: str) -> str:
    """Run `ip`. Raises Refused with what it says."""
    done = subprocess.run(["ip", *arguments.split()], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused("NetworkFailed", f"ip {arguments}: {done.stderr.strip()}")
    return done.stdout


def _pids(name: str) -> list[int]:
    try:
        return [int(pid) for pid in ip(f"netns pids {name}").split()]
    except Refused:
        return []


def _remove(name: str) -> None:
    deadline = time.monotonic() + GONE_S
    while (pids := [pid for pid in _pids(name) if pid != os.getpid()]) and (
        time.monotonic() < deadline
    ):
        for pid in pids:
            kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def kill(pid: int, number: int) -> None:
    """Send a signal to a process that may have gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
