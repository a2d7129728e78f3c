"""Keys of encrypted volumes: one interface, and files that are wrapped by keys of their own.

A key has users (volume ids: a volume and its clones share one) and is destroyed with the last of them, which makes
what was encrypted unreadable. `FileKeys` keeps AES-256-GCM wrapped files in `DATA/keys/volume`, readable by the owner
alone; a wrapped key is bound to its id.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Protocol

import msgspec
from cryptography.exceptions import InvalidTag

from core import keyring as keys
from core.bearer import NONCE_BYTES, PRINT_BYTES
from core.env import Env
from core.errors import Corrupt, NotFound, Refused
from core.keyring import Keyring
from core.real import make_directory, write_durably
from volume.cipher import KEY_BYTES

_DOMAIN = b"ringstack volume 1/"
_ID = re.compile(r"[0-9a-f]{32}\Z")


class KeyStore(Protocol):
    """Where keys of volumes are."""

    async def make(self, key_id: str, user: str) -> None:
        """A new random key with its first user; one that exists gets the user."""
        ...

    async def get(self, key_id: str) -> bytes:
        """The key, 64 bytes. Raises NotFound("NoSuchKey"), Corrupt."""
        ...

    async def share(self, key_id: str, user: str) -> None:
        """Another user. Raises NotFound("NoSuchKey")."""
        ...

    async def release(self, key_id: str, user: str) -> None:
        """A user less; the last one takes the key along. Unknown ones are no error."""
        ...


class _Held(msgspec.Struct, frozen=True):
    key: bytes
    users: frozenset[str]


class MemoryKeys:
    """For tests and simulations."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._keys: dict[str, _Held] = {}

    async def make(self, key_id: str, user: str) -> None:
        """See the protocol."""
        if key_id not in self._keys:
            self._keys[key_id] = _Held(self._env.random_bytes(KEY_BYTES), frozenset())
        await self.share(key_id, user)

    async def get(self, key_id: str) -> bytes:
        """See the protocol."""
        return self._held(key_id).key

    def _held(self, key_id: str) -> _Held:
        found = self._keys.get(key_id)
        if found is None:
            raise NotFound("NoSuchKey", f"there is no key {key_id}")
        return found

    async def share(self, key_id: str, user: str) -> None:
        """See the protocol."""
        held = self._held(key_id)
        self._keys[key_id] = _Held(held.key, held.users | {user})

    async def release(self, key_id: str, user: str) -> None:
        """See the protocol."""
        held = self._keys.get(key_id)
        if held is None:
            return
        users = held.users - {user}
        if users:
            self._keys[key_id] = _Held(held.key, users)
        else:
            del self._keys[key_id]


class FileKeys:
    """Wrapped keys in a directory of this machine. One process changes them at a time; any may read."""

    def __init__(self, directory: Path, env: Env) -> None:
        keys.create(directory, env)
        self._env = env
        self._keyring = Keyring(directory)
        self._keyring.load()
        self._wrapped = directory / "wrapped"
        make_directory(self._wrapped)

    def _path(self, key_id: str) -> Path:
        if not _ID.match(key_id):
            raise Refused("BadId", "a key id has 32 hexadecimal digits")
        return self._wrapped / key_id

    def _load(self, key_id: str) -> _Held:
        try:
            sealed = self._path(key_id).read_bytes()
        except FileNotFoundError:
            raise NotFound("NoSuchKey", f"there is no key {key_id}") from None
        mark, rest = sealed[:PRINT_BYTES], sealed[PRINT_BYTES:]
        if mark not in self._keyring.keys:
            self._keyring.load()
        key = self._keyring.keys.get(mark)
        try:
            if key is None:
                raise InvalidTag
            raw = key.cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], self._bound(key_id))
            held = msgspec.msgpack.decode(raw, type=_Held)
        except (InvalidTag, msgspec.MsgspecError, ValueError):
            raise Corrupt("BadKey", f"key {key_id} does not verify") from None
        return held

    @staticmethod
    def _bound(key_id: str) -> bytes:
        return _DOMAIN + key_id.encode()

    def _store(self, key_id: str, held: _Held) -> None:
        self._keyring.reload_if_changed()
        key = self._keyring.primary
        assert key is not None
        nonce = self._env.random_bytes(NONCE_BYTES)
        sealed = key.cipher.encrypt(nonce, msgspec.msgpack.encode(held), self._bound(key_id))
        write_durably(self._path(key_id), key.print + nonce + sealed)

    async def make(self, key_id: str, user: str) -> None:
        """See the protocol."""
        if not self._path(key_id).exists():
            self._store(key_id, _Held(self._env.random_bytes(KEY_BYTES), frozenset({user})))
        else:
            await self.share(key_id, user)

    async def get(self, key_id: str) -> bytes:
        """See the protocol."""
        return self._load(key_id).key

    async def share(self, key_id: str, user: str) -> None:
        """See the protocol."""
        held = self._load(key_id)
        self._store(key_id, _Held(held.key, held.users | {user}))

    async def release(self, key_id: str, user: str) -> None:
        """See the protocol."""
        try:
            held = self._load(key_id)
        except NotFound:
            return
        users = held.users - {user}
        if users:
            self._store(key_id, _Held(held.key, users))
        else:
            self._path(key_id).unlink(missing_ok=True)
