"""Tokens with which services of this cloud speak to each other: sealed here, verified like any other.

A service that has the token keys needs nobody's leave for its own work. Its identity is a user and a project that no
table holds, so nobody can log in as it, and what it owns is in no tenant's reach. Tokens last ten minutes and are
made anew long before.
"""

from __future__ import annotations

from typing import Any

from core.bearer import NONCE_BYTES, audit_text, seal
from core.env import Env
from core.errors import Unavailable
from core.identity import Identity
from core.keyring import Keyring

USER_ID = "ringstack-service"
PROJECT_ID = "ringstack-service"
ROLES = ("service", "admin", "manager", "member", "reader", "ResellerAdmin")
LASTS_US = 600_000_000
RENEWED_US = 300_000_000


class ServiceIdentity:
    """Makes tokens of the cloud's own services."""

    def __init__(self, env: Env, keyring: Keyring) -> None:
        self._env = env
        self._keyring = keyring
        self._token = ""
        self._renew_us = 0
        self._generation = -1

    def token(self) -> str:
        """A token that holds for at least five minutes. Raises Unavailable before there are keys."""
        now_us = self._env.wall_us()
        ahead_us = self._renew_us - now_us
        if 0 < ahead_us <= RENEWED_US and self._generation == self._keyring.generation:
            return self._token
        identity = Identity(
            user_id=USER_ID,
            user_name=USER_ID,
            user_domain_id="default",
            project_id=PROJECT_ID,
            project_name=PROJECT_ID,
            project_domain_id="default",
            roles=ROLES,
            **self._facts(now_us),
        )
        self._token = self._sealed(identity)
        self._renew_us = now_us + RENEWED_US
        self._generation = self._keyring.generation
        return self._token

    def on_behalf(self, project_id: str, user_id: str) -> str:
        """A token to make in a project what a user of it was granted before. Raises Unavailable before there are keys."""
        identity = Identity(
            user_id=user_id,
            user_domain_id="default",
            project_id=project_id,
            project_domain_id="default",
            roles=("member", "reader"),
            **self._facts(self._env.wall_us()),
        )
        return self._sealed(identity)

    def _facts(self, now_us: int) -> dict[str, Any]:
        return {
            "methods": ("token",),
            "issued_us": now_us,
            "expires_us": now_us + LASTS_US,
            "audit_ids": (audit_text(self._env.random_bytes(16)),),
        }

    def _sealed(self, identity: Identity) -> str:
        key = self._keyring.primary
        if key is None:
            raise Unavailable("NoKeys", "there are no token keys yet")
        return seal(key, self._env.random_bytes(NONCE_BYTES), identity)
