"""The data directory of one installation: where things are, its settings and its secrets.

`--data DIR` holds everything; deleting it forgets the cloud. Secrets are made at random when the directory
is made, live in one file that only the owner can read, and have no default.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

from core.errors import Corrupt, NotFound
from core.real import write_durably

DEFAULT_DATA = Path("~/.local/share/ringstack")
CONFIG = "config.json"
SECRETS = "secrets.json"

T = TypeVar("T")


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one machine's cloud. An unknown key is an error.

    `node` is this machine's name in the ring, where its devices are listed; `zone` and `ring_region` are
    its place there. `cluster_listen` (HOST:PORT) is where other nodes reach its noded: None means that
    there are no others and that everything stays on unix sockets. `plain_links` turns TLS off between
    the data paths of nodes. `objectd_count` bounds the storage processes; None is one for each device.
    `without` names what this machine does not run: `compute` is guests and their networks.
    """

    installation: str
    listen: str
    object_port: int
    api_port: int
    region: str
    domains: tuple[str, ...]
    proxy_count: int
    node: str
    zone: int = 1
    ring_region: int = 1
    cluster_listen: str | None = None
    plain_links: bool = False
    objectd_count: int | None = None
    identity: str = ""  # address of the identity service's API when it runs on another node
    without: tuple[str, ...] = ()
    database: str = ""  # SQLAlchemy address of the control plane's database; "" is SQLite in DATA


def host_of(config: Config) -> str:
    """The address that clients of this machine use, as it stands in a URL."""
    host = "127.0.0.1" if config.listen in {"0.0.0.0", "::"} else config.listen  # noqa: S104
    return f"[{host}]" if ":" in host else host


def identity_url(config: Config) -> str:
    """Where the identity service's API is."""
    return config.identity or f"http://{host_of(config)}:{config.api_port}/identity"


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Root credentials and keys of one installation; bytes are base64 in the file."""

    cluster_key: bytes
    token_key: bytes
    access_key: str
    secret_key: str
    user: str
    key: str
    account: str
    demo_key: str = ""  # password of the user `demo`; clouds made by the first versions have none


class Installation:
    """Paths below a data directory, and its two files."""

    def __init__(self, data: Path) -> None:
        self.data = data.expanduser().absolute()
        self.ring = self.data / "ring"
        self.run = self.data / "run"
        self.logs = self.data / "logs"
        self.devices = self.data / "devices"
        self.keys = self.data / "keys" / "token"
        self.policy = self.data / "policy"
        self.api_socket = f"unix:{self.run}/apid.sock"  # services follow the identity service here
        self.block_socket = f"unix:{self.run}/blockd.sock"  # verbs of this node's block daemon
        self.volume_keys = self.data / "keys" / "volume"
        self.known = self.data / "known"
        self.identity = self.data / "identity"
        self.pid_file = self.run / "supervisor.pid"
        self.state_file = self.run / "state.json"

    @property
    def exists(self) -> bool:
        """The directory has been set up."""
        return (self.data / CONFIG).exists()

    def config(self) -> Config:
        """Settings. Raises NotFound before the first `up`, Corrupt when the file is damaged."""
        return self._load(CONFIG, Config)

    def secrets(self) -> Secrets:
        """Secrets. Raises as `config`, and Corrupt when others may read the file."""
        path = self.data / SECRETS
        if path.exists() and path.stat().st_mode & 0o077:
            raise Corrupt("OpenSecrets", f"{path} can be read by others: chmod 600 it")
        return self._load(SECRETS, Secrets)

    def _load(self, name: str, kind: type[T]) -> T:
        path = self.data / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            raise NotFound(
                "NoInstallation", f"there is no cloud in {self.data}; `ringstack up` makes one"
            ) from None
        except msgspec.MsgspecError as error:
            raise Corrupt("BadFile", f"{path}: {error}") from None

    def write(self, config: Config, secrets: Secrets) -> None:
        """Store both files durably; the configuration last, because it marks the directory as set up."""
        self._write(SECRETS, secrets)
        self._write(CONFIG, config)

    def write_config(self, config: Config) -> None:
        """Replace the settings alone."""
        self._write(CONFIG, config)

    def _write(self, name: str, value: msgspec.Struct) -> None:
        text = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
        write_durably(self.data / name, text)

    def listens(self, config: Config) -> str:
        """Where objectd of this node are given addresses from: see `ring.place`."""
        if config.cluster_listen is None:
            return f"unix:{self.run}"
        return ("tcp:" if config.plain_links else "tls:") + config.cluster_listen

    def socket(self, name: str) -> str:
        """Address of a daemon of this machine on its unix socket."""
        return f"unix:{self.run}/{name}.sock"

    def supervisor_pid(self) -> int | None:
        """Process id of the running supervisor, or None. A stale file is ignored."""
        try:
            pid = int(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return pid if self.process_runs(pid, "cli.supervisor") else None

    def process_runs(self, pid: int, module: str) -> bool:
        """A live process of that id runs this module for this data directory.

        Ids are used again (after a restart of the machine often for the same kind of process), so the id
        alone says nothing.
        """
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return module.encode() in command and str(self.data).encode() in command
