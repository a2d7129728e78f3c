"""A host that does everything it is told at once, as far as the Networking API can see: for clouds without an agent."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Self

import msgspec

from core.keyring import Keyring
from core.real import RealEnv
from core.service_identity import ServiceIdentity
from networkd.port import HostReport, HostState

WAIT_S = 2
RETRY_S = 0.2


class ReportingHost(threading.Thread):
    """Asks for the state of a host and reports it as done, until told to stop."""

    def __init__(self, data: Path, auth_url: str, name: str = "host1") -> None:
        super().__init__(daemon=True)
        keyring = Keyring(data / "keys" / "token")
        keyring.load()
        self._identity = ServiceIdentity(RealEnv(1), keyring)
        self._url = f"{auth_url.rpartition('/identity')[0]}/network/host/{name}"
        self._name = name
        self._told = threading.Event()

    def _call(self, query: str, body: bytes | None = None) -> bytes:
        headers = {
            "X-Auth-Token": self._identity.token(),
            "Content-Type": "application/json",
        }
        request = urllib.request.Request(self._url + query, body, headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: bytes = answer.read()
        return found

    def _report(self, state: HostState | None) -> None:
        report = HostReport("", "192.0.2.1")
        if state is not None:
            ports = [one.id for n in state.networks for one in n.ports if one.host == self._name]
            report = HostReport(
                state.version,
                "192.0.2.1",
                tuple(ports),
                tuple(router.id for router in state.routers),
            )
        self._call("", json.dumps(msgspec.to_builtins(report)).encode())

    def run(self) -> None:
        seen = ""
        while not self._told.is_set():
            try:
                if not seen:
                    self._report(None)
                raw = self._call(f"?seen={seen}&wait_s={WAIT_S}")
                state = msgspec.json.decode(raw, type=HostState)
                self._report(state)
                seen = state.version
            except (urllib.error.URLError, OSError):
                self._told.wait(RETRY_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._told.set()
        self.join(30)
