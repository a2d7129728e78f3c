"""The supervisor: starts every daemon of this machine, restarts what crashes, stops all on SIGTERM.

`python -m cli.supervisor --data DIR`. It imports little, because it stays for as long as the cloud runs.
Storage nodes start first, proxies when they are ready; stopping goes the other way round, so that
no request is cut off by its own storage.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import NamedTuple

import msgspec

from cli import guests
from cli.restart import after_exit
from core import log as logs
from core.errors import Conflict
from core.identity_place import identity_place
from core.installation import Installation
from core.parent import LISTEN_FD, PARENT, go_with_parent
from core.real import write_durably
from ring.local import objectd_names
from ring.store import RingStore

log = logging.getLogger("ringstack.supervisor")

READY_TIMEOUT_S = 60.0
BACKLOG = 1024
STOP_TIMEOUT_S = 15.0
CLEANUP_TIMEOUT_S = 30.0
LOG_BYTES_MAX = 32 * 1024 * 1024
LOG_CHECK_S = 30.0
FOLLOW_S = 1.0
THRIFT = {  # of the C library's allocator: mallopt(3)
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": "1000000",
    "MALLOC_MMAP_THRESHOLD_": "262144",
}


class DaemonSpec(NamedTuple):
    """A daemon: its name, module and arguments. Lower `order` starts first and stops last.

    `listens` says on which port's socket ("object" or "api"), if any. Nobody waits for a `late` one: it
    starts when the others serve. `cleanup` is run after it has stopped for good. A `thrifty` one gives memory
    back to the system at once, which costs those that move data too much time.
    """

    name: str
    order: int
    arguments: tuple[str, ...]
    listens: str = ""
    late: bool = False
    cleanup: tuple[str, ...] = ()
    thrifty: bool = False


class DaemonState(msgspec.Struct):
    """What `status` shows of a daemon."""

    name: str
    pid: int
    ports: dict[str, int]
    restarts: int
    ready: bool
    served: int = 0  # devices of a storage node, and those that it had to refuse
    refused: int = 0
    module: str = ""


class Daemon:
    """One supervised process."""

    def __init__(self, spec: DaemonSpec, installation: Installation) -> None:
        self.spec = spec
        self.state = DaemonState(spec.name, 0, {}, 0, ready=False, module=spec.arguments[0])
        self._installation = installation
        self._process: asyncio.subprocess.Process | None = None
        self.stopping = False
        self.listener: socket.socket | None = None

    async def start(self) -> bool:
        """Start it and wait until it reports that it serves; False when it did not."""
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        with self._log_path().open("ab") as sink:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *self.spec.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                env={
                    **os.environ,
                    "RINGSTACK_READY_FD": str(writer),
                    LISTEN_FD: "" if self.listener is None else str(self.listener.fileno()),
                    PARENT: str(os.getpid()),
                    **(THRIFT if self.spec.thrifty else {}),
                },
                pass_fds=(writer,) if self.listener is None else (writer, self.listener.fileno()),
            )
        os.close(writer)
        self.state.pid = self._process.pid
        self.state.ready = False
        report = await read_pipe(reader, READY_TIMEOUT_S)
        if report:
            ports = msgspec.json.decode(report, type=dict[str, int])
            self.state.served = ports.pop("served", 0)
            self.state.refused = ports.pop("refused", 0)
            self.state.ports = ports
            self.state.ready = True
        return self.state.ready

    def _log_path(self) -> Path:
        return self._installation.logs / f"{self.spec.name}.log"

    async def wait(self) -> int:
        """Exit status once it has gone."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL when it takes too long."""
        self.stopping = True
        if self._process is None or self._process.returncode is not None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._process.wait()
        except TimeoutError:
            log.error("%s did not stop and was killed", self.spec.name)
            self._process.kill()
            await self._process.wait()

    async def clean_up(self) -> None:
        """Remove from the machine what it left standing on purpose, so that its successor finds it."""
        if not self.spec.cleanup:
            return
        with self._log_path().open("ab") as sink:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *self.spec.cleanup, stdout=sink, stderr=sink
            )
        try:
            async with asyncio.timeout(CLEANUP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            log.error("the clean-up of %s takes too long", self.spec.name)
            process.kill()

    def trim_log(self) -> None:
        """Keep one old log file beside the current one."""
        path = self._log_path()
        with contextlib.suppress(OSError):  # a full disk: another time
            if path.exists() and path.stat().st_size > LOG_BYTES_MAX:
                shutil.copyfile(path, path.with_suffix(".log.1"))
                os.truncate(path, 0)  # the daemon appends, so it goes on at the new end


async def read_pipe(fd: int, timeout_s: float) -> bytes:
    """Everything written to a pipe until its end, or b"" at the timeout."""
    loop = asyncio.get_running_loop()
    stream = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(fd, "rb", 0)
    )
    try:
        async with asyncio.timeout(timeout_s):
            return await stream.read()
    except TimeoutError:
        return b""
    finally:
        transport.close()


class Supervisor:
    """All daemons of a data directory."""

    def __init__(self, installation: Installation, specs: list[DaemonSpec]) -> None:
        self._installation = installation
        self.daemons = [Daemon(spec, installation) for spec in specs]
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def _listen(self) -> dict[str, socket.socket]:
        """The public ports, held here and shared by the daemons that serve them.

        A client that connects while a daemon is being restarted waits in the queue and is not refused.
        """
        config = self._installation.config()
        ports = {"object": config.object_port, "api": config.api_port}
        listeners: dict[str, socket.socket] = {}
        for daemon in self.daemons:
            name = daemon.spec.listens
            if name and name not in listeners:
                listeners[name] = socket.create_server(
                    (config.listen, ports[name]),
                    family=socket.AF_INET6 if ":" in config.listen else socket.AF_INET,
                    backlog=BACKLOG,
                )
            daemon.listener = listeners.get(name)
        return listeners

    async def run(self, ready_fd: int | None) -> int:
        """Start everything, keep it running until told to stop. Returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, self._stop.set)
        listeners = self._listen()
        started = await self._start_all(late=False)
        self._write_state()
        for daemon in self.daemons:
            if not daemon.spec.late:
                self._spawn(self._watch(daemon))
        self._spawn(self._trim_logs())
        if ready_fd is not None:
            os.write(ready_fd, b"ready" if started else b"failed")
            os.close(ready_fd)
        if started:
            self._spawn(self._start_late())
            self._spawn(self._follow_ring())
            await self._stop.wait()
        for task in self._tasks:
            task.cancel()
        await self._stop_all()
        for listener in listeners.values():
            listener.close()
        self._installation.state_file.unlink(missing_ok=True)
        self._installation.pid_file.unlink(missing_ok=True)
        return 0 if started else 1

    async def _start_all(self, *, late: bool) -> bool:
        wanted = [daemon for daemon in self.daemons if daemon.spec.late == late]
        for order in sorted({daemon.spec.order for daemon in wanted}):
            group = [daemon for daemon in wanted if daemon.spec.order == order]
            results = await asyncio.gather(*(daemon.start() for daemon in group))
            if not all(results):
                return False
            if any(one.state.refused for one in group) and not any(
                one.state.served for one in group
            ):
                log.error("none of this machine's devices can be served")
                return False
        return True

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _follow_ring(self) -> None:
        """Start storage nodes for devices that a newer ring gives to this machine; stop others."""
        store = RingStore(self._installation.ring)
        number = max(store.numbers(), default=0)
        while True:
            await asyncio.sleep(FOLLOW_S)
            newest = max(store.numbers(), default=0)
            if newest == number:
                continue
            number = newest
            wanted = {spec.name: spec for spec in objectd_specs(self._installation)}
            for daemon in list(self.daemons):
                if daemon.spec.name.startswith("objectd-") and daemon.spec.name not in wanted:
                    log.info("the ring has no device of %s any more", daemon.spec.name)
                    self.daemons.remove(daemon)
                    await daemon.stop()
            for name in wanted.keys() - {daemon.spec.name for daemon in self.daemons}:
                daemon = Daemon(wanted[name], self._installation)
                self.daemons.append(daemon)
                await daemon.start()
                self._spawn(self._watch(daemon))
            self._write_state()

    async def _start_late(self) -> None:
        """Start what nobody waits for, and then watch it as the others are watched."""
        await self._start_all(late=True)
        self._write_state()
        await asyncio.gather(*(self._watch(one) for one in self.daemons if one.spec.late))

    async def _stop_all(self) -> None:
        for order in sorted({daemon.spec.order for daemon in self.daemons}, reverse=True):
            group = [daemon for daemon in self.daemons if daemon.spec.order == order]
            await asyncio.gather(*(daemon.stop() for daemon in group))
            await asyncio.gather(*(daemon.clean_up() for daemon in group))

    async def _watch(self, daemon: Daemon) -> None:
        """Restart a daemon whenever it goes without being told to."""
        crashes = 0
        started = time.monotonic()
        while True:
            status = await daemon.wait()
            if daemon.stopping or self._stop.is_set():
                return
            restart = after_exit(crashes, time.monotonic() - started)
            crashes = restart.crashes
            log.warning("%s ended with status %d and is started again", daemon.spec.name, status)
            await asyncio.sleep(restart.delay_s)
            started = time.monotonic()
            daemon.state.restarts += 1
            try:
                await daemon.start()
            except OSError:
                log.exception("%s could not be started", daemon.spec.name)
            self._write_state()

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_S)
            for daemon in self.daemons:
                daemon.trim_log()

    def _write_state(self) -> None:
        states = [daemon.state for daemon in self.daemons]
        try:
            write_durably(self._installation.state_file, msgspec.json.encode(states))
        except OSError as error:  # a full disk: `status` shows older news, and all goes on
            log.warning("the state of the daemons could not be written: %s", error)


def objectd_specs(installation: Installation) -> list[DaemonSpec]:
    """The storage nodes of this machine: one for each address of its devices in the ring."""
    data = str(installation.data)
    epoch = RingStore(installation.ring).current()
    names = () if epoch is None else objectd_names(epoch.devices, installation.config().node)
    return [DaemonSpec(name, 0, ("objectd.main", "--data", data, "--name", name)) for name in names]


def specs_of(installation: Installation) -> list[DaemonSpec]:
    """The daemons of an installation."""
    config = installation.config()
    data = str(installation.data)
    specs = objectd_specs(installation)
    specs += [
        DaemonSpec(
            f"proxy-{number}",
            1,
            ("proxy.main", "--data", data, "--number", str(number)),
            listens="object",
        )
        for number in range(config.proxy_count)
    ]
    if identity_place(installation, config).here:
        arguments = ("apid.main", "--data", data)
        specs.append(DaemonSpec("apid", 1, arguments, listens="api", thrifty=True))
    specs.append(DaemonSpec("blockd", 1, ("blockd.main", "--data", data), late=True))
    specs.append(DaemonSpec("noded", 1, ("noded.main", "--data", data), late=True, thrifty=True))
    if guests.COMPUTE not in config.without and not guests.missing():
        specs += [agent_spec("network", 2, data), agent_spec(guests.COMPUTE, 3, data)]
    return specs


def agent_spec(name: str, order: int, data: str) -> DaemonSpec:
    """The agent of `networkd` or `computed`, which leaves networks and guests alone until the cloud is stopped."""
    package = f"{name}d.agent"
    cleanup = (f"{package}.cleanup", "--data", data)
    arguments = (f"{package}.main", "--data", data)
    return DaemonSpec(name, order, arguments, late=True, cleanup=cleanup, thrifty=True)


def lock(installation: Installation) -> None:
    """One supervisor for each data directory. Raises Conflict."""
    fd = os.open(installation.run / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Conflict("Running", f"a cloud already runs from {installation.data}") from None
    installation.pid_file.write_text(f"{os.getpid()}\n")


def main() -> None:
    """Parse arguments and supervise."""
    parser = argparse.ArgumentParser(prog="supervisor")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--with-parent", metavar="PID")
    arguments = parser.parse_args()
    logs.setup()
    if arguments.with_parent:
        go_with_parent(arguments.with_parent)
    installation = Installation(arguments.data)
    lock(installation)

    async def supervise() -> int:
        return await Supervisor(installation, specs_of(installation)).run(arguments.ready_fd)

    sys.exit(asyncio.run(supervise()))


if __name__ == "__main__":
    main()
