"""Verifies bearer tokens inside a service: keys from the data directory, revocations as they were pushed.

Nothing is asked of the identity service, so tokens go on being verified while it is down. Tokens that
were verified are remembered (a bounded number); expiry and revocation are checked every time.
"""

from __future__ import annotations

from core.bearer import unseal
from core.env import Env
from core.errors import Refused
from core.identity import Identity
from core.keyring import Keyring
from core.revocation import RevocationList

REMEMBERED_MAX = 4096
RELOAD_EVERY_US = 1_000_000


class Authenticator:
    """Turns tokens into identities."""

    def __init__(self, env: Env, keyring: Keyring, revoked: RevocationList) -> None:
        self._env = env
        self._keyring = keyring
        self._revoked = revoked
        self._remembered: dict[str, Identity] = {}
        self._generation = keyring.generation
        self._looked_us = 0

    def verify(self, token: str) -> Identity:
        """The identity of a token that holds now.

        Raises Refused("BadToken", "UnknownKey", "ExpiredToken" or "RevokedToken").
        """
        now_us = self._env.wall_us()
        if self._generation != self._keyring.generation:
            self._generation = self._keyring.generation
            self._remembered.clear()  # a key may have gone
        identity = self._remembered.get(token)
        if identity is None:
            identity = self._open(token, now_us)
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[token] = identity
        if now_us >= identity.expires_us:
            self._remembered.pop(token, None)
            raise Refused("ExpiredToken", "the token has expired")
        if self._revoked.revoked(identity):
            raise Refused("RevokedToken", "the token has been revoked")
        return identity

    def _open(self, token: str, now_us: int) -> Identity:
        try:
            return unseal(self._keyring.keys, token)
        except Refused as error:
            # somebody may have rotated keys; looked at now and then, so that bad tokens cost no disk
            if error.code != "UnknownKey" or abs(now_us - self._looked_us) < RELOAD_EVERY_US:
                raise
            self._looked_us = now_us
            if not self._keyring.reload_if_changed():
                raise
        return unseal(self._keyring.keys, token)
