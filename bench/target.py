"""What is measured: a client of one API, and the processes behind it.

A cloud of our own is started in a directory that is removed afterwards, or a running one is used and
left as it was found. The two APIs of one cloud are two targets with the same processes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.client import Client, S3Client, SwiftClient
from bench.connection import Failed
from bench.peer_swift import SwiftPeer
from bench.processes import cpu_seconds, memory_bytes
from cli.env import variables
from core.installation import Installation

S3, SWIFT = "s3", "swift"
PEER_SWIFT, PEER_S3 = "OpenStack Swift", "peer s3"

FillListing = Callable[[str, int], None]


class Target:
    """A client, the roots of its server's processes, and how its names look in a listing."""

    def __init__(
        self,
        name: str,
        client: Client,
        pids: list[int],
        *,
        name_mark: bytes,
        disposable: bool = False,
        fill_listing: FillListing | None = None,
    ) -> None:
        self.name = name
        self.client = client
        self.name_mark = name_mark
        self.disposable = disposable  # the whole store is removed afterwards
        self.fill_listing = fill_listing
        self._pids = pids

    def cpu_seconds(self) -> float:
        """CPU time of the server's processes so far."""
        return cpu_seconds(self._pids)

    def memory_bytes(self) -> int:
        """Memory of the server's processes (proportional set size)."""
        return memory_bytes(self._pids)


def target_name(api: str) -> str:
    """What a cloud of ours is called in figures."""
    return f"ringstack {api}"


def targets_of(
    installation: Installation, apis: tuple[str, ...], *, disposable: bool
) -> list[Target]:
    """The wanted APIs of a running cloud. Raises Failed when it is down."""
    pid = installation.supervisor_pid()
    if pid is None:
        raise Failed(
            "NotRunning", f"the cloud in {installation.data} is not running: `ringstack up`"
        )
    values = variables(installation)
    clients: dict[str, tuple[Client, bytes]] = {
        S3: (
            S3Client(
                values["AWS_ENDPOINT_URL"],
                values["AWS_ACCESS_KEY_ID"],
                values["AWS_SECRET_ACCESS_KEY"],
                values["AWS_DEFAULT_REGION"],
            ),
            b"<Key>",
        ),
        SWIFT: (SwiftClient(values["ST_AUTH"], values["ST_USER"], values["ST_KEY"]), b'"name":'),
    }
    return [
        Target(
            target_name(api),
            clients[api][0],
            [pid],
            name_mark=clients[api][1],
            disposable=disposable,
        )
        for api in apis
    ]


def target_of_peer(peer: SwiftPeer) -> Target:
    """The started peer."""
    return Target(
        PEER_SWIFT,
        SwiftClient(peer.auth_url, peer.user, peer.key),
        peer.pids,
        name_mark=b'"name":',
        disposable=True,
        fill_listing=lambda container, count: peer.fill_listing(container, count, size_bytes=1),
    )


def target_of_endpoint(endpoint: str, pids: list[int], variables: Mapping[str, str]) -> Target:
    """Any S3 service, with PEER_ACCESS_KEY_ID, PEER_SECRET_ACCESS_KEY and PEER_REGION.

    Without the processes it runs in, its CPU time and memory stay 0. Raises Failed.
    """
    try:
        access_key, secret = variables["PEER_ACCESS_KEY_ID"], variables["PEER_SECRET_ACCESS_KEY"]
    except KeyError as error:
        raise Failed("NoCredentials", f"set {error} for the peer") from None
    client = S3Client(endpoint, access_key, secret, variables.get("PEER_REGION", "us-east-1"))
    return Target(PEER_S3, client, pids, name_mark=b"<Key>")


@contextmanager
def own_cloud(directory: Path) -> Iterator[Installation]:
    """A cloud of four devices in `directory`, stopped and removed at the end. Raises Failed."""
    installation = Installation(directory)
    ports = ("--object-port", "0", "--api-port", "0")
    _ringstack("up", "--data", str(directory), "--detach", "--without", "compute", *ports)
    try:
        yield installation
    finally:
        _ringstack("down", "--data", str(directory))
        shutil.rmtree(directory, ignore_errors=True)


def _ringstack(*arguments: str) -> None:
    command = [sys.executable, "-m", "cli.main", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent.parent
    )
    if done.returncode:
        raise Failed("CloudFailed", (done.stderr or done.stdout).strip())
