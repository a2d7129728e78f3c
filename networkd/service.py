"""What every part of Networking works with: tables, policy, and those who wait for changes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from core.api.app import uuid_text
from core.database import Connection, Database
from core.env import Env
from core.feed import Feed
from core.policy import Policy
from networkd.told import Told

ZONE = "nova"  # the one availability zone, by the name that clients expect of a cloud with one
DNS_DOMAIN = "openstacklocal."
VXLAN_NUMBERS = (1001, 16_000_000)
UNDERLAY_MTU = 1500
VXLAN_OVERHEAD = 50
ALIVE_US = 15_000_000


@dataclass(frozen=True)
class Service:
    """One Networking service."""

    env: Env
    database: Database
    policy: Policy
    feed: Feed = field(default_factory=Feed)
    told: Told = field(default_factory=Told)
    started_us: int = 0  # hosts could not report before this

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970 UTC."""
        return self.env.wall_us()

    def new_id(self) -> str:
        """A fresh UUID."""
        return uuid_text(self.env)

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        """A transaction; hosts hear of it when it has been committed."""
        async with self.database.write() as db:
            yield db
        self.feed.wake()
