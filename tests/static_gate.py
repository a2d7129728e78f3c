"""A gate of fixed credentials, for fronts without an identity service: real tokens, made here."""

from __future__ import annotations

import os
from typing import NamedTuple

from core.bearer import NONCE_BYTES, key_of, unseal
from core.bearer import seal as seal_bearer
from core.env import Env
from core.errors import Refused
from core.http import Request
from core.identity import Identity as Verified
from proxy.gate import Login
from proxy.identity import AccessKey, Identity

TOKEN_LIFE_US = 86_400_000_000


class RootCredentials(NamedTuple):
    """One caller who owns everything: their S3 key, their log-in, and the key that seals their tokens."""

    access_key: str
    secret_key: str
    user: str
    key: str
    account: str
    token_key: bytes

    @property
    def identity(self) -> Identity:
        return Identity(self.user, self.account, admin=True)


class Claims(NamedTuple):
    """Who a token of this gate is for."""

    user: str
    account: str
    admin: bool
    expires_s: int


def seal(key: bytes, claims: Claims) -> str:
    """A token of these claims."""
    verified = Verified(
        user_id=claims.user,
        project_id=claims.account,
        roles=("ResellerAdmin",) if claims.admin else (),
        expires_us=claims.expires_s * 1_000_000,
    )
    return seal_bearer(key_of(key), os.urandom(NONCE_BYTES), verified)


class StaticGate:
    """The gate. `keys` are more access keys."""

    def __init__(self, env: Env, credentials: RootCredentials) -> None:
        self._env = env
        self._credentials = credentials
        self._key = key_of(credentials.token_key)
        self.keys: dict[str, AccessKey] = {}

    async def identify(self, token: str, request: Request) -> Identity:
        del request
        verified = unseal({self._key.print: self._key}, token)
        if self._env.wall_us() >= verified.expires_us:
            raise Refused("ExpiredToken", "the token has expired")
        admin = "ResellerAdmin" in verified.roles
        return Identity(verified.user_id, verified.project_id, admin=admin)

    async def access_key(self, access: str) -> AccessKey | None:
        known = self._credentials
        if access == known.access_key:
            return AccessKey(known.secret_key, known.identity)
        return self.keys.get(access)

    async def login(self, user: str, key: str) -> Login | None:
        known = self._credentials
        if (user, key) != (known.user, known.key):
            return None
        expires_us = self._env.wall_us() + TOKEN_LIFE_US
        claims = Claims(known.user, known.account, True, expires_us // 1_000_000)
        return Login(seal(known.token_key, claims), known.identity, expires_us)
