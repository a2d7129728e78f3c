"""OpenStack Keystone on this machine, as a peer to measure beside us.

Fernet tokens, SQLite, one domain and one admin, as `keystone-manage bootstrap` makes them, served by uWSGI with one
process for each core (or as asked for). Password hashes cost what Keystone's defaults make them cost.
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
from bench.peer_swift import free_ports, owner, signal_group

PACKAGES = ("keystone==30.0.0", "uwsgi")
USER, PROJECT, DOMAIN = "admin", "admin", "default"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0


class KeystonePeer:
    """Started on entering, stopped and removed on leaving. `python` belongs to an environment that has Keystone."""

    def __init__(self, python: Path, directory: Path, processes: int) -> None:
        self._bin = python.absolute().parent
        self.directory = directory
        self.processes = processes
        self.password = secrets.token_urlsafe(12)
        self._port = free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address, below which is /v3."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def pids(self) -> list[int]:
        """The server's first process."""
        return [] if self._process is None else [self._process.pid]

    def __enter__(self) -> Self:
        try:
            self._configure()
            self._start()
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
        if self._process is not None:
            signal_group(self._process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
            signal_group(self._process, signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT_S)
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def _configure(self) -> None:
        self.directory.mkdir(parents=True)
        (self.directory / "keystone.conf").write_text(
            "[DEFAULT]\nlog_file =\nuse_stderr = false\n"
            f"[database]\nconnection = sqlite:///{self.directory}/keystone.db\n"
            "[token]\nprovider = fernet\n"
            f"[fernet_tokens]\nkey_repository = {self.directory}/fernet\n"
            f"[credential]\nkey_repository = {self.directory}/credential\n"
        )
        account = ("--keystone-user", owner(), "--keystone-group", owner())
        self._manage("db_sync")
        self._manage("fernet_setup", *account)
        self._manage("credential_setup", *account)
        self._manage(
            "bootstrap",
            "--bootstrap-password",
            self.password,
            "--bootstrap-public-url",
            f"{self.url}/v3/",
            "--bootstrap-region-id",
            "RegionOne",
        )

    def _manage(self, *arguments: str) -> None:
        done = subprocess.run(
            [
                str(self._bin / "keystone-manage"),
                "--config-file",
                str(self.directory / "keystone.conf"),
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.directory,
        )
        if done.returncode:
            raise Failed("PeerFailed", f"keystone-manage {arguments[0]}: {done.stderr[-600:]}")

    def _start(self) -> None:
        command = [
            str(self._bin / "uwsgi"),
            "--http-socket",
            f"127.0.0.1:{self._port}",
            "--http-keepalive",
            "--module",
            "keystone.wsgi.api:application",
            "--master",
            "--enable-threads",
            "--need-app",
            "--disable-logging",
            "--processes",
            str(self.processes),
            "--venv",
            str(self._bin.parent),
        ]
        with (self.directory / "uwsgi.log").open("ab") as sink:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                cwd=self.directory,
                env={
                    **os.environ,
                    "OS_KEYSTONE_CONFIG_DIR": str(self.directory),
                    "OS_KEYSTONE_CONFIG_FILES": "keystone.conf",
                },
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self._port), timeout=1) as probe:
                    probe.sendall(b"GET /v3 HTTP/1.0\r\n\r\n")
                    if probe.recv(64):
                        return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                words = (self.directory / "uwsgi.log").read_text(errors="replace")[-800:]
                raise Failed("PeerFailed", f"Keystone did not start: {words}")
            time.sleep(0.1)


def install(directory: Path) -> Path:
    """A Python with Keystone in `directory`, made when it is not there. Returns it. Raises Failed."""
    python = directory / "bin" / "python"
    if (directory / "bin" / "keystone-manage").exists():
        return python
    for command in (
        [sys.executable, "-m", "venv", str(directory)],
        [str(python), "-m", "pip", "install", "-q", *PACKAGES],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failed("PeerFailed", done.stderr.strip()[-600:])
    return python
