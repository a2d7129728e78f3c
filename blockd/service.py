"""What every part of block storage works with: tables, policy, the volume library, and the neighbours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from blockd.port import Chunks, Exports, Images, NoServers, Servers
from core.api.app import uuid_text
from core.database import Database
from core.env import Env
from core.policy import Policy
from volume.port import Volumes

ZONE = "nova"  # the one availability zone, by the name that clients expect of a cloud with one
BACKEND = "ringstack"
GIB = 1 << 30


@dataclass(frozen=True)
class Service:
    """One Block Storage service."""

    env: Env
    database: Database
    policy: Policy
    volumes: Volumes
    exports: Exports
    images: Images
    chunks: Chunks
    node: str = "localhost"
    servers: Servers = field(default_factory=NoServers)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def host(self) -> str:
        """The one backend, as administrators see it."""
        return f"{self.node}@{BACKEND}"

    @property
    def pool(self) -> str:
        """The one pool of it: the object store."""
        return f"{self.host}#{BACKEND}"

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970 UTC."""
        return self.env.wall_us()

    def new_id(self) -> str:
        """A fresh UUID."""
        return uuid_text(self.env)

    def wake(self) -> None:
        """There is new work: called after the transaction that wrote it."""
        self.woken.set()
