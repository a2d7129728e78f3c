"""One node of a cluster for fault tests: real daemons in a network namespace, started by the product's own command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from core.errors import Unavailable
from core.installation import Installation
from core.real import FAULTS_FILE, FaultsWanted, FaultyDisk
from ring.device import Device
from ring.local import devices_of
from ring.store import RingStore
from sim.live_network import Network, kill
from sim.live_workload import Endpoints

OBJECT_PORT = 8080
API_PORT = 5000
CLUSTER_PORT = 7100
COMMAND_S = 120.0


class LiveNode:
    """A node's directory, its processes, and what is wrong with them."""

    def __init__(self, network: Network, number: int, zone: int, data: Path) -> None:
        self.network = network
        self.number = number
        self.name = f"n{number}"
        self.zone = zone
        self.address = network.address(number)
        self.installation = Installation(data)
        self._faults = data.with_suffix(".faults")
        self._wanted = FaultsWanted()
        self._starting: subprocess.Popen[str] | None = None

    @property
    def cluster_listen(self) -> str:
        """Where other nodes reach it."""
        return f"{self.address}:{CLUSTER_PORT}"

    # -- processes -----------------------------------------------------------------------------

    def begin_start(self) -> None:
        """Start everything; `finish_start` waits."""
        self._write_faults()
        self._starting = self._popen("up", "--detach")

    def finish_start(self) -> None:
        """Raises Unavailable when it did not come up."""
        starting, self._starting = self._starting, None
        if starting is None:
            return
        output, _ = starting.communicate(timeout=COMMAND_S)
        if starting.returncode:
            raise Unavailable("StartFailed", f"{self.name} did not start: {output.strip()}")

    def start(self) -> None:
        """Start everything and wait until it serves."""
        self.begin_start()
        self.finish_start()

    def stop(self) -> None:
        """Stop everything cleanly."""
        self.command("down")

    def kill(self) -> None:
        """Kill -9 of every process, as close together as can be."""
        deadline = time.monotonic() + 10
        while pids := self.pids():
            for pid in pids:
                kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise Unavailable("NotDead", f"{self.name} does not die")
            time.sleep(0.01)

    def crash(self) -> None:
        """Lose the power: no process says good-bye, and neither does the kernel."""
        self.network.unplug(self.number)
        self.kill()

    def pids(self) -> list[int]:
        """Every process of the node."""
        return self.network.pids(self.number)

    @property
    def up(self) -> bool:
        """Something runs."""
        return bool(self.pids())

    def pause(self) -> None:
        """SIGSTOP of every process."""
        for pid in self.pids():
            kill(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let them go on."""
        for pid in self.pids():
            kill(pid, signal.SIGCONT)

    def daemons(self) -> dict[str, int]:
        """Process ids by name."""
        rows = json.loads(self.command("status", "--json"))["processes"]
        return {str(row["name"]): int(row["pid"]) for row in rows}

    def kill_daemon(self, name: str) -> None:
        """Kill -9 of one daemon; the supervisor starts it again."""
        kill(self.daemons()[name], signal.SIGKILL)

    # -- commands ------------------------------------------------------------------------------

    def _popen(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "cli.main", *arguments]
        return subprocess.Popen(
            self.network.command(self.number, *command, "--data", str(self.installation.data)),
            env={**os.environ, FAULTS_FILE: str(self._faults)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.installation.data.parent,
        )

    def command(self, *arguments: str, timeout_s: float = COMMAND_S) -> str:
        """Run `ringstack ...` on this node; its output. Raises Unavailable when it fails."""
        process = self._popen(*arguments)
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            output += "took too long"
            process.returncode = 1
        if process.returncode:
            what = " ".join(arguments[:3])
            raise Unavailable("CommandFailed", f"{self.name}: ringstack {what}: {output.strip()}")
        return output

    def json(self, *arguments: str) -> Any:
        """The same, for commands with `--json`."""
        return json.loads(self.command(*arguments, "--json"))

    def kill_command(self, *arguments: str, after_s: float = 1.5) -> None:
        """Start a command and kill it after a moment."""
        process = self._popen(*arguments)
        try:
            process.communicate(timeout=after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()

    def metric(self, daemon: str, name: str) -> float:
        """One figure of a daemon's metrics; 0.0 when it is not there."""
        rows = self.json("status")["processes"]
        port = next(row["ports"].get("metrics", 0) for row in rows if row["name"] == daemon)
        fetch = (
            "import urllib.request as r;"
            f"print(r.urlopen('http://127.0.0.1:{port}/metrics', timeout=5).read().decode())"
        )
        done = subprocess.run(
            self.network.command(self.number, sys.executable, "-c", fetch),
            capture_output=True,
            text=True,
            check=False,
        )
        for line in done.stdout.splitlines():
            if line.startswith("#"):
                continue
            key, _, value = line.rpartition(" ")
            if key.partition("{")[0].endswith(name):
                return float(value)
        return 0.0

    # -- what clients need ---------------------------------------------------------------------

    def endpoints(self) -> Endpoints:
        """Where its object port is, and the root credentials."""
        config, secrets = self.installation.config(), self.installation.secrets()
        url = f"http://{self.address}:{config.object_port}"
        return Endpoints(
            url,
            secrets.access_key,
            secrets.secret_key,
            config.region,
            f"{url}/auth/v1.0",
            secrets.user,
            secrets.key,
        )

    # -- faults --------------------------------------------------------------------------------

    def devices(self) -> tuple[Device, ...]:
        """Its devices in the newest ring it has."""
        epoch = RingStore(self.installation.ring).current()
        return () if epoch is None else devices_of(epoch.devices, self.name)

    def set_clock(self, skew_s: float) -> None:
        """Have all daemons see a wrong wall clock."""
        self._wanted = FaultsWanted(skew_s, self._wanted.disks)
        self._write_faults()

    def set_disk(self, device: Device, fault: FaultyDisk) -> None:
        """Have a device be slow, full or broken."""
        disks = {**self._wanted.disks, f"{device.path}/": fault, device.path: fault}
        self._wanted = FaultsWanted(self._wanted.clock_skew_s, disks)
        self._write_faults()

    def cure(self) -> None:
        """No faults any more."""
        self._wanted = FaultsWanted()
        self._write_faults()

    def _write_faults(self) -> None:
        import msgspec

        temporary = self._faults.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(self._wanted))
        temporary.replace(self._faults)

    def wipe(self, device: Device) -> None:
        """Empty a device's directory under the feet of its daemon, which is killed first."""
        from ring.local import objectd_name

        self.kill_daemon(objectd_name(device.address))
        shutil.rmtree(device.path)
        Path(device.path).mkdir()

    def segments(self) -> list[Path]:
        """Log segments of all its devices."""
        return [path for one in self.devices() for path in Path(one.path).glob("log/*.seg")]

    def last_words(self) -> str:
        """The last line of each log."""
        lines = []
        for path in sorted(self.installation.logs.glob("*.log")):
            text = path.read_text(errors="replace").strip().splitlines()
            lines += [f"{self.name} {path.stem}: {line[-300:]}" for line in text[-1:]]
        return "\n".join(lines)
