"""Encryption of what must be given back in clear (EC2 secrets, TOTP seeds): AES-256-GCM under keys of its own.

Keys are files like those of tokens (`core.keyring`), in `DATA/keys/credential`. A sealed blob is bound to the id of
its credential: moved to another row it does not open.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidTag

from core import keyring as keys
from core.bearer import NONCE_BYTES, PRINT_BYTES
from core.env import Env
from core.errors import Corrupt
from core.keyring import Keyring

DIRECTORY = "credential"
_DOMAIN = b"ringstack credential 1/"


class Vault:
    """Seals and opens blobs."""

    def __init__(self, directory: Path, env: Env) -> None:
        keys.create(directory, env)
        self._env = env
        self._keyring = Keyring(directory)
        self._keyring.load()

    def seal(self, name: str, blob: str) -> bytes:
        """Encrypt the blob of the credential with this id."""
        key = self._keyring.primary
        assert key is not None
        nonce = self._env.random_bytes(NONCE_BYTES)
        sealed = key.cipher.encrypt(nonce, blob.encode(), _DOMAIN + name.encode())
        return key.print + nonce + sealed

    def open(self, name: str, sealed: bytes) -> str:
        """Decrypt it again. Raises Corrupt when the key is gone or the row was tampered with."""
        mark, rest = sealed[:PRINT_BYTES], sealed[PRINT_BYTES:]
        key = self._keyring.keys.get(mark)
        if key is None:
            self._keyring.load()
            key = self._keyring.keys.get(mark)
        if key is None:
            raise Corrupt(
                "NoKey", f"the key of credential {name} is not in {self._keyring.directory}"
            )
        nonce, ciphertext = rest[:NONCE_BYTES], rest[NONCE_BYTES:]
        try:
            return key.cipher.decrypt(nonce, ciphertext, _DOMAIN + name.encode()).decode()
        except InvalidTag:
            raise Corrupt("BadCredential", f"credential {name} does not verify") from None
