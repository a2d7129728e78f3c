"""The store as the dialects see it: one protocol, implemented by the cluster client and by a model.

Promises (design guarantees G1-G5): a verb that returns has its effect on stable storage of a
majority; verbs on one object are linearizable; a listing started after a return shows it.
Errors: NotFound (with code NoSuchContainer, NoSuchObject), Conflict (ContainerNotEmpty),
PreconditionFailed and whatever a `check`/`finish`/`change` callback raises (nothing is stored then),
Full (507), UnknownOutcome and Unavailable (503), Refused("NameTooLong" | "BadName").

A `Check` receives the current record (None when absent or expired) and raises to refuse. It is run
early, before a body is read, and decided on the confirmed record at the commit; it must be pure.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Protocol

from proxy.store.record import (
    OBJECTS,
    AccountInfo,
    BodyDigest,
    ContainerInfo,
    ContainerPage,
    Draft,
    Found,
    ListQuery,
    ObjectName,
    ObjectPage,
    ObjectRecord,
)
from ring.policy import Policy

Check = Callable[[ObjectRecord | None], None]
Finish = Callable[[BodyDigest], Draft]
Change = Callable[[ObjectRecord], Draft]
AttributeChange = Mapping[str, str | None]  # None removes the key


class Store(Protocol):
    """Accounts, containers and objects."""

    @property
    def policies(self) -> Sequence[Policy]:
        """All storage policies, the default one first."""
        ...

    # -- accounts ------------------------------------------------------------------------------

    async def get_account(self, account: str) -> AccountInfo:
        """Metadata and totals; an account nobody wrote to is empty, never NotFound."""
        ...

    async def update_account(self, account: str, change: AttributeChange) -> None:
        """Merge attributes."""
        ...

    async def list_containers(self, account: str, query: ListQuery) -> ContainerPage:
        """Containers of an account with their statistics."""
        ...

    # -- containers ----------------------------------------------------------------------------

    async def create_container(
        self, account: str, container: str, *, policy: str | None, change: AttributeChange
    ) -> bool:
        """Create, or merge attributes into an existing one; True when it was created.

        Raises Conflict("PolicyMismatch") when it exists with another policy than asked for, and
        Refused("NoSuchPolicy").
        """
        ...

    async def get_container(self, account: str, container: str) -> ContainerInfo:
        """Record and statistics. Raises NotFound("NoSuchContainer")."""
        ...

    async def update_container(self, account: str, container: str, change: AttributeChange) -> None:
        """Merge attributes. Raises NotFound("NoSuchContainer")."""
        ...

    async def delete_container(self, account: str, container: str) -> None:
        """Delete an empty one. Raises NotFound, Conflict("ContainerNotEmpty")."""
        ...

    async def list_objects(
        self, account: str, container: str, query: ListQuery, *, space: str = OBJECTS
    ) -> ObjectPage:
        """Objects of a container. Raises NotFound("NoSuchContainer")."""
        ...

    # -- objects -------------------------------------------------------------------------------

    async def get_object(self, where: ObjectName) -> Found:
        """The current record. Raises NotFound("NoSuchContainer" | "NoSuchObject")."""
        ...

    def read(self, found: Found, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Stored body bytes [start, start+length), verified, as a stream of pieces.

        For a large-object manifest this is the manifest itself (`body_size` bytes).
        """
        ...

    async def put_object(
        self,
        where: ObjectName,
        body: AsyncIterator[bytes],
        finish: Finish,
        *,
        check: Check | None = None,
    ) -> Found:
        """Store a body. `finish` sees its digest once it is complete and gives the record's fields."""
        ...

    async def put_bytes(
        self, where: ObjectName, body: bytes, draft: Draft, *, check: Check | None = None
    ) -> Found:
        """Store a body that is in memory, at once: `check` is decided at the commit only, and `draft.etag` is required."""
        ...

    async def copy_object(
        self, source: Found, where: ObjectName, draft: Draft, *, check: Check | None = None
    ) -> Found:
        """Make `where` name the source's bytes; copies no data. `draft.etag` defaults to the source's."""
        ...

    async def compose_object(
        self,
        where: ObjectName,
        pieces: Sequence[tuple[Found, int, int]],
        draft: Draft,
        *,
        check: Check | None = None,
        adopt: bool = False,
    ) -> Found:
        """Make an object of byte ranges (found, start, length) of others, in order, copying no blobs.

        `adopt`: the sources are about to be deleted with `keep_blobs`, and this record owns their blobs
        from then on. `draft.etag` is required.
        """
        ...

    async def update_object(self, where: ObjectName, change: Change) -> Found:
        """Change the metadata of an existing object, keeping its body. Raises NotFound."""
        ...

    async def delete_object(
        self, where: ObjectName, *, check: Check | None = None, keep_blobs: bool = False
    ) -> ObjectRecord:
        """Delete and return what was deleted. Raises NotFound("NoSuchContainer" | "NoSuchObject")."""
        ...
