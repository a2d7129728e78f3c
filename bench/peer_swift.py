"""OpenStack Swift on this machine, as a peer to measure beside us.

Four devices on one filesystem, three replicas, synced as it does by default, two proxy and two object
workers, its sample pipeline and log-in, no background daemons. It runs from a Python that has the
`swift` distribution and lives in one directory that is removed afterwards. memcached is used when
the machine has it; otherwise a small stand-in, because the log-in keeps its tokens there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.connection import Failed

DISTRIBUTION = "swift==2.38.3"
DEVICES = ("d1", "d2", "d3", "d4")
USER = "test:tester"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 20.0

PROXY_PIPELINE = (
    "catch_errors gatekeeper healthcheck proxy-logging cache listing_formats container_sync bulk "
    "tempurl ratelimit tempauth copy container-quotas account-quotas slo dlo versioned_writes "
    "symlink proxy-logging proxy-server"
)
FILTERS = {
    "catch_errors": "catch_errors",
    "gatekeeper": "gatekeeper",
    "healthcheck": "healthcheck",
    "proxy-logging": "proxy_logging",
    "listing_formats": "listing_formats",
    "container_sync": "container_sync",
    "bulk": "bulk",
    "tempurl": "tempurl",
    "ratelimit": "ratelimit",
    "copy": "copy",
    "container-quotas": "container_quotas",
    "account-quotas": "account_quotas",
    "slo": "slo",
    "dlo": "dlo",
    "versioned_writes": "versioned_writes",
    "symlink": "symlink",
}
WORKERS = {"account": 1, "container": 2, "object": 2, "proxy": 2}
PACKAGES = {"account": "account", "container": "container", "object": "obj", "proxy": "proxy"}

BUILD_RINGS = """
import sys
from swift.common.ring.builder import RingBuilder
directory, devices = sys.argv[1], sys.argv[3:]
ports = dict(zip(("account", "container", "object"), sys.argv[2].split(",")))
for kind, port in ports.items():
    builder = RingBuilder(10, 3, 1)
    for number, name in enumerate(devices):
        builder.add_dev({"id": number, "region": 1, "zone": number + 1, "ip": "127.0.0.1",
            "port": int(port), "replication_ip": "127.0.0.1", "replication_port": int(port),
            "device": name, "weight": 100.0, "meta": ""})
    builder.rebalance(seed=1)
    builder.get_ring().save("%s/%s.ring.gz" % (directory, kind))
"""

FILL_LISTING = """
import glob, sys, time
from swift.common.utils import Timestamp, set_swift_dir
from swift.container.backend import ContainerBroker
directory, name, count, size = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
set_swift_dir(directory)
found = 0
for path in glob.glob(directory + "/devices/*/containers/*/*/*/*.db"):
    broker = ContainerBroker(path)
    if broker.get_info()["container"] != name:
        continue
    found += 1
    stamp = Timestamp(time.time()).internal
    broker.merge_items([{"name": "%05d" % number, "created_at": stamp, "size": size,
        "content_type": "application/octet-stream", "etag": "%032x" % number, "deleted": 0,
        "storage_policy_index": 0} for number in range(count)])
print(found)
"""


class SwiftPeer:
    """Started on entering, stopped and removed on leaving."""

    def __init__(self, python: Path, directory: Path) -> None:
        self.python = python
        self.directory = directory
        self.user = USER
        self.key = secrets.token_urlsafe(12)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._memcache: subprocess.Popen[bytes] | None = None
        self._ports = dict(zip((*WORKERS, "memcache"), free_ports(5), strict=True))
        self.memcache_kind = "memcached" if shutil.which("memcached") else "stand-in"

    @property
    def auth_url(self) -> str:
        """Where to log in."""
        return f"http://127.0.0.1:{self._ports['proxy']}/auth/v1.0"

    @property
    def pids(self) -> list[int]:
        """The servers' first processes; memcached is not counted."""
        return [process.pid for process in self._processes]

    def __enter__(self) -> Self:
        try:
            self._configure()
            self._start_memcache()
            for kind in WORKERS:
                self._start(kind)
            for kind in WORKERS:
                self._wait(kind)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process and remove the directory."""
        running = [*self._processes, *([self._memcache] if self._memcache else [])]
        for process in running:
            signal_group(process, signal.SIGTERM)
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
            signal_group(process, signal.SIGKILL)
            process.wait(STOP_TIMEOUT_S)
        self._processes, self._memcache = [], None
        shutil.rmtree(self.directory, ignore_errors=True)

    def fill_listing(self, container: str, count: int, *, size_bytes: int) -> None:
        """Put `count` names of five digits into an existing container's databases.

        Storing that many objects would take Swift minutes, and a listing reads nothing else.
        """
        found = self._python(
            FILL_LISTING, str(self.directory), container, str(count), str(size_bytes)
        )
        if found.strip() != "3":
            raise Failed(
                "PeerFailed", f"Swift has {found.strip()} databases of its container, not 3"
            )

    def _python(self, script: str, *arguments: str) -> str:
        done = subprocess.run(
            [str(self.python), "-c", script, *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise Failed("PeerFailed", f"Swift: {done.stderr.strip()[-600:]}")
        return done.stdout

    def _configure(self) -> None:
        self.directory.mkdir(parents=True)
        for device in DEVICES:
            (self.directory / "devices" / device).mkdir(parents=True)
        (self.directory / "swift.conf").write_text(
            f"[swift-hash]\nswift_hash_path_suffix = {secrets.token_hex(8)}\n"
            "[storage-policy:0]\nname = Policy-0\ndefault = yes\n"
        )
        for kind in WORKERS:
            text = proxy_configuration(self) if kind == "proxy" else ""
            (self.directory / f"{kind}.conf").write_text(
                common_configuration(kind, self._ports[kind], self.directory) + text
            )
        ports = ",".join(str(self._ports[kind]) for kind in ("account", "container", "object"))
        self._python(BUILD_RINGS, str(self.directory), ports, *DEVICES)

    def _start_memcache(self) -> None:
        port = str(self._ports["memcache"])
        command = [sys.executable, "-m", "bench.peer_memcache", port]
        if self.memcache_kind == "memcached":
            user = ["-u", "root"] if os.geteuid() == 0 else []
            command = ["memcached", "-l", "127.0.0.1", "-p", port, "-m", "64", "-t", "1", *user]
        self._memcache = self._spawn(command, "memcache")

    def _start(self, kind: str) -> None:
        script = f"from swift.{PACKAGES[kind]}.server import main; main()"
        configuration = str(self.directory / f"{kind}.conf")
        self._processes.append(self._spawn([str(self.python), "-c", script, configuration], kind))

    def _spawn(self, command: list[str], name: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{name}.log").open("ab") as sink:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=Path(__file__).parent.parent if name == "memcache" else self.directory,
                start_new_session=True,
            )

    def _wait(self, kind: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        process = self._processes[list(WORKERS).index(kind)]
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._ports[kind]), timeout=1):
                    return
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    words = (self.directory / f"{kind}.log").read_text(errors="replace")[-800:]
                    raise Failed(
                        "PeerFailed", f"Swift's {kind} server did not start: {words}"
                    ) from None
                time.sleep(0.05)


def common_configuration(kind: str, port: int, directory: Path) -> str:
    """What the four servers' files share, and the application of the three storage servers."""
    text = (
        f"[DEFAULT]\nbind_ip = 127.0.0.1\nbind_port = {port}\nworkers = {WORKERS[kind]}\n"
        f"user = {owner()}\nswift_dir = {directory}\ndevices = {directory}/devices\n"
        f"mount_check = false\nlog_name = {kind}\n"
    )
    if kind != "proxy":
        text += (
            f"[pipeline:main]\npipeline = healthcheck {kind}-server\n"
            f"[app:{kind}-server]\nuse = egg:swift#{kind}\n"
            "[filter:healthcheck]\nuse = egg:swift#healthcheck\n"
        )
    return text


def proxy_configuration(peer: SwiftPeer) -> str:
    """The sample pipeline with one administrator."""
    text = (
        f"[pipeline:main]\npipeline = {PROXY_PIPELINE}\n"
        "[app:proxy-server]\nuse = egg:swift#proxy\naccount_autocreate = true\n"
        "[filter:cache]\nuse = egg:swift#memcache\n"
        f"memcache_servers = 127.0.0.1:{peer._ports['memcache']}\n"  # noqa: SLF001 - its own file
        f"[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = {peer.key} .admin\n"
    )
    for name, entry in FILTERS.items():
        text += f"[filter:{name}]\nuse = egg:swift#{entry}\n"
    return text


def owner() -> str:
    """The user that runs this."""
    import pwd

    return pwd.getpwuid(os.geteuid()).pw_name


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal a process that leads its own session, and its workers."""
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def install(directory: Path) -> Path:
    """Make a virtual environment with Swift, once; its Python. Raises Failed."""
    python = directory / "bin" / "python"
    marker = directory / f".{DISTRIBUTION}"
    if marker.exists():
        return python
    for command in (
        [sys.executable, "-m", "venv", str(directory)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", DISTRIBUTION],
    ):
        if subprocess.run(command, check=False).returncode:
            raise Failed("PeerFailed", f"could not install {DISTRIBUTION} in {directory}")
    marker.touch()
    return python
