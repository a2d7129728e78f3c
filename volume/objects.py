"""What the library asks of the object store, and the store behind it.

Everything of a volume is in one container of the reserved account, which no dialect can name. Entries and checkpoints
are written once (`add` refuses a name that exists: G2 makes that a consensus), the state is swapped by its tag.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, NamedTuple, Protocol

import xxhash

from core.errors import NotFound, PreconditionFailed
from proxy.store.port import Store
from proxy.store.record import BodyDigest, Draft, Found, ListQuery, ObjectName, ObjectRecord

ACCOUNT = ".volumes"
_MARK = "application/x-ringstack-"


class Piece(NamedTuple):
    """An object as found. `tag` changes with every replacement; `inline` has the body of a small one."""

    volume: str
    name: str
    size: int
    mark: str
    tag: str
    inline: bytes | None
    handle: Any = None


class Objects(Protocol):
    """Objects of volumes. Errors beside those named: Full, Unavailable, UnknownOutcome, Corrupt."""

    async def make(self, volume: str, policy: str | None) -> str:
        """Make room for a volume (no error when it is there); the name of its policy."""
        ...

    async def drop(self, volume: str) -> None:
        """Remove the empty room of a volume, if it is there. Raises Conflict when it is not empty."""
        ...

    async def add(self, volume: str, name: str, body: bytes, mark: str) -> None:
        """Store a new object. Raises PreconditionFailed when the name exists, NotFound without a room."""
        ...

    async def swap(self, volume: str, name: str, body: bytes, tag: str) -> None:
        """Replace an object that still has this tag. Raises PreconditionFailed, NotFound."""
        ...

    async def find(self, volume: str, name: str) -> Piece:
        """Raises NotFound."""
        ...

    async def read(self, piece: Piece, start: int, length: int) -> bytes | memoryview:
        """Bytes [start, start+length) of an object that was found. Raises NotFound when it has gone since."""
        ...

    async def remove(self, volume: str, name: str) -> None:
        """Remove an object, if it is there."""
        ...

    async def names(self, volume: str, prefix: str, after: str, limit: int) -> list[str]:
        """The next names after one, in order. Raises NotFound without a room."""
        ...


class StoreObjects:
    """Objects on `proxy.store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def make(self, volume: str, policy: str | None) -> str:
        """See the protocol."""
        await self._store.create_container(ACCOUNT, volume, policy=policy, change={})
        info = await self._store.get_container(ACCOUNT, volume)
        names = {one.id: one.name for one in self._store.policies}
        return names.get(info.record.policy, "")

    async def drop(self, volume: str) -> None:
        """See the protocol."""
        try:
            await self._store.delete_container(ACCOUNT, volume)
        except NotFound:
            return

    async def add(self, volume: str, name: str, body: bytes, mark: str) -> None:
        """See the protocol."""

        def absent(current: ObjectRecord | None) -> None:
            if current is not None:
                raise PreconditionFailed("Exists", f"{name} exists")

        where = ObjectName(ACCOUNT, volume, name)
        draft = Draft(_MARK + mark, {}, etag=xxhash.xxh3_128_hexdigest(body))
        await self._store.put_bytes(where, body, draft, check=absent)

    async def swap(self, volume: str, name: str, body: bytes, tag: str) -> None:
        """See the protocol."""

        def same(current: ObjectRecord | None) -> None:
            if current is None or current.etag != tag:
                raise PreconditionFailed("Changed", f"{name} has changed")

        await self._put(volume, name, body, "state", same)

    async def _put(self, volume: str, name: str, body: bytes, mark: str, check: Any) -> None:
        def finish(_: BodyDigest) -> Draft:
            return Draft(_MARK + mark, {})

        where = ObjectName(ACCOUNT, volume, name)
        await self._store.put_object(where, _once(body), finish, check=check)

    async def find(self, volume: str, name: str) -> Piece:
        """See the protocol."""
        found = await self._store.get_object(ObjectName(ACCOUNT, volume, name))
        record = found.record
        inline = None if record.manifest else found.inline
        mark = record.content_type.removeprefix(_MARK)
        handle = None if inline is not None else found
        return Piece(volume, name, record.body_size, mark, record.etag, inline, handle)

    async def read(self, piece: Piece, start: int, length: int) -> bytes | memoryview:
        """See the protocol."""
        if piece.inline is not None:
            return piece.inline[start : start + length]
        found: Found = piece.handle
        parts = [part async for part in self._store.read(found, start, length)]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def remove(self, volume: str, name: str) -> None:
        """See the protocol."""
        try:
            await self._store.delete_object(ObjectName(ACCOUNT, volume, name))
        except NotFound:
            return

    async def names(self, volume: str, prefix: str, after: str, limit: int) -> list[str]:
        """See the protocol."""
        query = ListQuery(prefix=prefix, marker=after, limit=limit)
        page = await self._store.list_objects(ACCOUNT, volume, query)
        return [row.name for row in page.rows]


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
