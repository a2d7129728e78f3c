"""Password hashes: argon2id for new ones; bcrypt and scrypt, as Keystone wrote them, still verify.

Hashing runs off the event loop. An unknown user is checked against a dummy hash, so that it takes as long as
a wrong password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

import argon2
import bcrypt
from argon2.low_level import Type

from core.env import Env

MEMORY_KIB = 19_456  # with two passes: OWASP's first recommendation, about 20 ms here
PASSES = 2
BCRYPT_BYTES_MAX = 72


class Hasher:
    """Makes and verifies password hashes."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._argon2 = argon2.PasswordHasher(PASSES, MEMORY_KIB, 1, type=Type.ID)
        self._dummy = ""
        self.verified = 0  # how many verifications were done, each of which takes the same time

    async def hash(self, password: str) -> str:
        """A new argon2id hash, with its salt and costs in it."""
        salt = self._env.random_bytes(16)
        return await self._env.offload(
            lambda: self._argon2.hash(password.encode("utf-8", "surrogatepass"), salt=salt)
        )

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether the password fits. None (no such user, or one without a password) never does, as slowly."""
        self.verified += 1
        if stored is None:
            if not self._dummy:
                self._dummy = await self.hash("")
            await self._env.offload(lambda: self._verify_now(password, self._dummy))
            return False
        return await self._env.offload(lambda: self._verify_now(password, stored))

    def _verify_now(self, password: str, stored: str) -> bool:
        raw = password.encode("utf-8", "surrogatepass")
        if stored.startswith("$argon2"):
            try:
                return self._argon2.verify(stored, raw)
            except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
                return False
        if stored.startswith("$2"):
            return bcrypt.checkpw(raw[:BCRYPT_BYTES_MAX], stored.encode())
        if stored.startswith("$scrypt$"):
            return _verify_scrypt(raw, stored)
        return False


def _verify_scrypt(raw: bytes, stored: str) -> bool:
    """`$scrypt$ln=16,r=8,p=1$salt$digest`, base64 with `.` for `+` (passlib's form)."""
    try:
        _, _, costs, salt, digest = stored.split("$")
        cost = dict(item.split("=") for item in costs.split(","))
        expected = _passlib_base64(digest)
        n, r, p = 1 << int(cost["ln"]), int(cost["r"]), int(cost["p"])
        made = hashlib.scrypt(
            raw,
            salt=_passlib_base64(salt),
            n=n,
            r=r,
            p=p,
            dklen=len(expected),
            maxmem=256 * n * r + (1 << 20),
        )
    except (ValueError, KeyError):
        return False
    return hmac.compare_digest(made, expected)


def _passlib_base64(text: str) -> bytes:
    return base64.b64decode(text.replace(".", "+") + "=" * (-len(text) % 4))
