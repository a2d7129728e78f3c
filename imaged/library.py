"""What every part of the image service works with: clock, database, policy, volumes, settings, scratch space."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from core.api.app import uuid_text
from core.database import Database
from core.env import Env
from core.policy import Policy
from imaged.quota import Limits
from imaged.settings import Settings
from volume.port import Volumes

STORE = "ringstack"  # the one store there is, as the API names stores


class Library(NamedTuple):
    """The composition of one image service.

    `node` is this machine; `owner` names this process among all that there ever were: what it has begun is its own until its lease ends.
    """

    env: Env
    database: Database
    policy: Policy
    volumes: Volumes
    settings: Settings
    scratch: Path
    node: str
    owner: str
    limits: Limits | None = None

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return self.env.wall_us()

    def new_id(self) -> str:
        """A random UUID."""
        return uuid_text(self.env)
