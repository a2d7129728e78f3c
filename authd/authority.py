"""What every part of the identity service works with: clock, database, policy, keys, settings."""

from __future__ import annotations

from typing import NamedTuple

from authd.oidc import OpenIdConnect
from authd.passcodes import Passcodes
from authd.password import Hasher
from authd.settings import Settings
from authd.vault import Vault
from core.database import Database
from core.env import Env
from core.keyring import Keyring
from core.policy import Policy
from core.revocation import RevocationList

TOKEN_LIFE_S = 3600
TREE_DEPTH_MAX = 5


class Authority(NamedTuple):
    """The composition of one identity service."""

    env: Env
    database: Database
    policy: Policy
    keyring: Keyring
    hasher: Hasher
    revoked: RevocationList
    vault: Vault
    passcodes: Passcodes
    oidc: OpenIdConnect
    settings: Settings = Settings()

    def now_us(self) -> int:
        """Microseconds since 1970 UTC."""
        return self.env.wall_us()

    def new_id(self) -> str:
        """A random id: a UUID without dashes."""
        return self.env.random_bytes(16).hex()
