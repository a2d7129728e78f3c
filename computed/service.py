"""What every part of the compute service works with: tables, policy, the neighbours, and whom to wake."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from computed.outside import Daemons, Images, Networks, Volumes
from core.api.app import uuid_text
from core.database import Database
from core.env import Env
from core.feed import Feed
from core.policy import Policy

ZONE = "nova"  # the zone of hosts that no aggregate gives another
DOWN_AFTER_US = 15_000_000  # a host that has not reported for so long is down


@dataclass(frozen=True)
class Service:
    """One compute service."""

    env: Env
    database: Database
    policy: Policy
    networks: Networks
    volumes: Volumes
    images: Images
    daemons: Daemons
    node: str = "localhost"
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: Feed = field(default_factory=Feed)  # what hosts are to have has changed
    reported: Feed = field(default_factory=Feed)  # a host has reported something new

    def now_us(self) -> int:
        """Wall clock, microseconds since 1970 UTC."""
        return self.env.wall_us()

    def new_id(self) -> str:
        """A fresh UUID."""
        return uuid_text(self.env)

    def wake(self) -> None:
        """There is new work or a new wish: called after the transaction that wrote it."""
        self.woken.set()
        self.wanted.wake()
