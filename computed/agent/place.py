"""Where a host keeps what belongs to its guests, and what the host is called."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from core.env import Env
from core.installation import Config, Installation, host_of
from core.real import make_directory, write_durably

DIRECTORY = "compute"


@dataclass(frozen=True)
class Place:
    """Paths and names of one host."""

    host: str
    address: str
    directory: Path

    @classmethod
    def of(cls, installation: Installation, config: Config) -> Place:
        """The place of this machine; its directory is made."""
        directory = installation.data / DIRECTORY
        make_directory(directory)
        return cls(config.node, host_of(config), directory)

    @property
    def machines(self) -> Path:
        """Sockets, logs and config drives."""
        return self.directory / "m"

    @property
    def orders(self) -> Path:
        """Which orders were carried out."""
        return self.directory / "orders.json"

    def host_uuid(self, env: Env) -> str:
        """The id by which libvirt knows this host; made at the first start."""
        path = self.directory / "host_uuid"
        if not path.exists():
            made = uuid.UUID(bytes=env.random_bytes(16), version=4)
            write_durably(path, str(made).encode())
        return path.read_text()
