"""Who is asking: the identity that travels in-process from authentication to the handlers. Pure.

An identity is made only by verifying a signature or token, never from a client's header.
"""

from __future__ import annotations

from typing import NamedTuple


class Identity(NamedTuple):
    """A verified caller. `account` is the storage account (Swift `AUTH_…`) the caller works in."""

    user: str
    account: str
    admin: bool = False


class RootCredentials(NamedTuple):
    """The root credentials of one installation, made at random when its data directory is made.

    `access_key`/`secret_key` sign S3 requests; `user`/`key` log in at `/auth/v1.0`; `token_key` (32 bytes)
    signs the tokens that log-in hands out.
    """

    access_key: str
    secret_key: str
    user: str
    key: str
    account: str
    token_key: bytes

    @property
    def identity(self) -> Identity:
        """The caller these credentials stand for."""
        return Identity(self.user, self.account, admin=True)
