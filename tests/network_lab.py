"""Hosts of a cloud on one machine: each a network namespace with its own agent, guests behind real taps, and an API that says what a test wants.

A guest is a namespace whose `eth0` is one end of a cable that this process is: frames are carried between it and the tap that the
agent made, as QEMU would. Nothing touches the machine's own network.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from core import keyring
from core.installation import Config, Installation, Secrets
from core.namespace import host_namespace, named
from core.real import RealEnv, make_directory
from networkd.agent import needs, tap
from networkd.agent.inside import within
from networkd.port import HostReport, HostState

ROOT = Path(__file__).parents[1]
TOOLS = {"udhcpc": "busybox-static", "nc": "netcat-openbsd", "ping": "iputils-ping"}
API_PORT = 5000
SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip -4 addr flush dev $interface; ip addr add $ip/$mask dev $interface
[ -n "$mtu" ] && ip link set $interface mtu $mtu
echo "$dns" > $HERE.dns
set -- $staticroutes
while [ $# -ge 2 ]; do
  [ "$2" = 0.0.0.0 ] && ip route replace $1 dev $interface || ip route replace $1 via $2
  shift 2
done
"""


def install() -> None:
    """What the agent and these tests need, from Debian's packages."""
    wanted = {**needs.PROGRAMS, "busybox": "busybox-static", "nc": "netcat-openbsd"}
    wanted |= {"ping": "iputils-ping"}
    missing = {package for program, package in wanted.items() if shutil.which(program) is None}
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", *sorted(missing)]):
            subprocess.run(command, check=True, capture_output=True, env=environment)


def run(*command: str, check: bool = True, timeout_s: float = 20.0) -> str:
    """Output of a command."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def until(true: Callable[[], Any], timeout_s: float = 10.0, what: str = "") -> Any:
    """Wait for something; its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := true()):
        assert time.monotonic() < deadline, f"{what or true} took too long"
        time.sleep(0.02)
    return value


class Api:
    """The Networking and Compute APIs of one host, as much as its agent asks."""

    def __init__(self, namespace: str) -> None:
        self.state: HostState | None = None
        self.report: HostReport | None = None
        self.questions: list[tuple[str, str, dict[str, str]]] = []
        self.compute_up = True
        self._changed = threading.Condition()
        self._server = within(namespace, self._make)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _make(self) -> ThreadingHTTPServer:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments: Any) -> None:
                """Keep quiet."""

            def do_GET(self) -> None:
                api.get(self)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                api.post(self, body)

        return ThreadingHTTPServer(("127.0.0.1", API_PORT), Handler)

    def want(self, state: HostState) -> None:
        """Another state from now on."""
        with self._changed:
            self.state = state
            self._changed.notify_all()

    def get(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        if parts.path.startswith("/compute/metadata/"):
            self.questions.append(("GET", parts.path, dict(request.headers)))
            if not self.compute_up:
                return answer(request, 503, b"")
            return answer(request, 200, json.dumps({"path": parts.path}).encode())
        if self.report is None:
            return answer(request, 404, b"")
        query = parse_qs(parts.query)
        seen, wait_s = query.get("seen", [""])[0], float(query["wait_s"][0])
        with self._changed:
            self._changed.wait_for(
                lambda: self.state is not None and self.state.version != seen, wait_s
            )
            state = self.state or HostState("0", "")
        return answer(request, 200, msgspec.json.encode(state))

    def post(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.report = msgspec.json.decode(body, type=HostReport)
        answer(request, 204, b"")

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    with contextlib.suppress(OSError):
        request.send_response(status)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


class Cables:
    """Carries frames between taps, both ways, in one thread."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._stop = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def connect(self, one: int, other: int) -> None:
        """Two taps' descriptors."""
        with self._lock:
            self._selector.register(one, selectors.EVENT_READ, other)
            self._selector.register(other, selectors.EVENT_READ, one)

    def cut(self, one: int, other: int) -> None:
        """Disconnect them and close both."""
        with self._lock:
            for file in (one, other):
                self._selector.unregister(file)
                os.close(file)

    def _carry(self) -> None:
        while not self._stop:
            ready = self._selector.select(0.05)
            with self._lock:
                for key, _ in ready:
                    self._drain(key.fd, key.data)

    @staticmethod
    def _drain(source: int, target: int) -> None:
        for _ in range(64):
            try:
                frame = os.read(source, 65_536)
            except OSError:
                return
            with contextlib.suppress(OSError):  # down, or full: a frame is lost
                os.write(target, frame)

    def close(self) -> None:
        self._stop = True
        self._thread.join()


class Guest:
    """A namespace in a guest's place."""

    def __init__(self, lab: Lab, host: Host, name: str, port_id: str, mac: str) -> None:
        self.name = f"{lab.prefix}-{name}"
        self.lab, self.host, self.port_id, self.mac = lab, host, port_id, mac
        run("ip", "netns", "add", self.name)
        lab.namespaces.append(self.name)
        self._own = within(self.name, lambda: tap.opened("eth0"))
        self._files: tuple[int, int] | None = None
        self("ip", "link", "set", "lo", "up")
        self("ip", "link", "set", "eth0", "address", mac, "up")

    def plug(self) -> None:
        """Connect to the tap, once the agent has made it."""
        device = f"tap{self.port_id[:11]}"
        until(lambda: self.host.wired(self.port_id), what=f"{device} of {self.name}")
        far = within(self.host.space, lambda: tap.opened(device))
        self._files = (self._own, far)
        self.lab.cables.connect(*self._files)

    def unplug(self) -> None:
        if self._files:
            self.lab.cables.cut(*self._files)
            self._files = None

    def __call__(self, *command: str, check: bool = True, timeout_s: float = 20.0) -> str:
        return run("ip", "netns", "exec", self.name, *command, check=check, timeout_s=timeout_s)

    def dhcp(self) -> str:
        """Ask for an address; what the guest has got."""
        client = ("busybox", "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", "5", "-T", "1")
        wants = ("-O", "staticroutes", "-O", "mtu", "-s", str(self.lab.script))
        self(*client, *wants)
        return self.address()

    def address(self) -> str:
        found = self("ip", "-4", "-o", "addr", "show", "eth0").split()
        return found[3] if len(found) > 3 else ""

    def pings(self, address: str, *options: str) -> bool:
        """One answered ping within a second, of two."""
        command = ("ip", "netns", "exec", self.name, "ping", "-q", "-W", "1", *options)
        tries = ("-c", "2", "-i", "0.2", address)
        return subprocess.run((*command, *tries), capture_output=True, check=False).returncode == 0

    def reaches(self, address: str, port: int) -> bool:
        """A TCP connection can be made."""
        command = ("nc", "-z", "-w", "1", address, str(port))
        done = subprocess.run(
            ("ip", "netns", "exec", self.name, *command), capture_output=True, check=False
        )
        return done.returncode == 0

    def serve(self, port: int) -> None:
        """Listen on a TCP port, take every connection and all that it brings."""
        listener = within(self.name, lambda: socket.create_server(("0.0.0.0", port)))
        self.lab.listeners.append(listener)

        def drain(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while connection.recv(65_536):
                    pass

        def accept() -> None:
            with contextlib.suppress(OSError):  # closed with the lab
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=drain, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    def start(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Something that goes on; it ends with the lab."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.DEVNULL)
        process = subprocess.Popen(
            ("ip", "netns", "exec", self.name, *command), stderr=subprocess.DEVNULL, **options
        )
        self.lab.processes.append(process)
        return process


class Host:
    """A machine of the cloud: a namespace that stands for the machine, a data directory, an API and an agent."""

    def __init__(self, lab: Lab, name: str, address: str) -> None:
        self.lab, self.name, self.address = lab, name, address
        self.machine = f"{lab.prefix}-{name}"
        run("ip", "netns", "add", self.machine)
        lab.namespaces.append(self.machine)
        run("ip", "-n", self.machine, "link", "set", "lo", "up")
        self.installation = Installation(lab.directory / name)
        self._write()
        self.space = host_namespace(self.installation)
        self.api = Api(self.machine)
        self.agent: subprocess.Popen[bytes] | None = None

    def _write(self) -> None:
        make_directory(self.installation.data)
        config = Config(
            installation="lab",
            listen="127.0.0.1",
            object_port=8080,
            api_port=API_PORT,
            region="lab",
            domains=(),
            proxy_count=1,
            node=self.name,
        )
        self.installation.write(
            config, Secrets(b"k" * 32, b"t" * 32, "a", "s", "u", "k", "account")
        )
        keyring.create(self.installation.keys, RealEnv())
        settings = {"tunnel_address": self.address, "tunnel_device": "under"}
        (self.installation.data / "network.json").write_text(json.dumps(settings))

    def start(self) -> None:
        """Start the agent, in the machine's namespace."""
        with (self.lab.directory / f"{self.name}.log").open("ab") as log:
            self.agent = subprocess.Popen(
                (
                    *("nsenter", f"--net=/run/netns/{self.machine}", sys.executable),
                    *("-m", "networkd.agent.main", "--data", str(self.installation.data)),
                ),
                cwd=ROOT,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the agent and nothing else."""
        assert self.agent is not None
        self.agent.send_signal(number)
        self.agent.wait(10)
        self.agent = None

    def want(self, state: HostState, timeout_s: float = 15.0) -> HostReport:
        """Have a state made; the report about it."""
        self.api.want(state)
        report = until(
            lambda: (found := self.api.report) and found.version == state.version and found,
            timeout_s,
            f"{state.version} of {self.name} ({self.log()})",
        )
        assert isinstance(report, HostReport)
        return report

    def log(self) -> str:
        path = self.lab.directory / f"{self.name}.log"
        return path.read_text()[-2000:] if path.exists() else ""

    def wired(self, port_id: str) -> bool:
        return self.api.report is not None and port_id in self.api.report.ports

    def dnsmasqs(self) -> list[int]:
        """The processes of DHCP and advertisements that run."""
        pids = (int(one.read_text()) for one in Path("/run/ringstack", self.space).glob("*/pid"))
        return sorted(pid for pid in pids if Path(f"/proc/{pid}/exe").exists())

    def clean(self) -> None:
        """What `ringstack down` does for the networks."""
        run(
            *("nsenter", f"--net=/run/netns/{self.machine}", sys.executable),
            *("-m", "networkd.agent.cleanup", "--data", str(self.installation.data)),
        )


class Lab:
    """Everything of one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.prefix = f"lab{os.getpid()}"
        self.namespaces: list[str] = []
        self.processes: list[subprocess.Popen[bytes]] = []
        self.hosts: list[Host] = []
        self.listeners: list[socket.socket] = []
        self.guests: list[Guest] = []
        self.cables = Cables()
        self.script = directory / "dhcp.sh"
        self.script.write_text(SCRIPT.replace("$HERE", str(directory / "guest")))
        self.script.chmod(0o755)

    def host(self, name: str, address: str) -> Host:
        made = Host(self, name, address)
        self.hosts.append(made)
        return made

    def join(self, one: Host, other: Host) -> None:
        """A cable between two machines, for tunnels."""
        run(
            *("ip", "-n", one.machine, "link", "add", "under", "mtu", "1600", "type", "veth"),
            *("peer", "name", "under", "netns", other.machine),
        )
        for host in (one, other):
            run("ip", "-n", host.machine, "addr", "add", f"{host.address}/24", "dev", "under")
            run("ip", "-n", host.machine, "link", "set", "under", "mtu", "1600", "up")

    def guest(self, host: Host, name: str, port_id: str, mac: str) -> Guest:
        made = Guest(self, host, name, port_id, mac)
        self.guests.append(made)
        return made

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()
        for listener in self.listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for guest in self.guests:
            guest.unplug()
        self.cables.close()
        for host in self.hosts:
            if host.agent is not None:
                host.stop(signal.SIGKILL)
            host.api.close()
            host.clean()
        for name in self.namespaces:
            run("ip", "netns", "del", name, check=False)

    def left(self) -> list[str]:
        """Namespaces of the hosts that are still there."""
        return [name for host in self.hosts for name in named(host.space)]


@contextlib.contextmanager
def laboratory(directory: Path) -> Iterator[Lab]:
    """A lab, removed whatever happens."""
    install()
    lab = Lab(directory)
    try:
        yield lab
    finally:
        lab.close()
