"""What a reader or a copy reads: a plain object, or one of the other dialect's large objects.

A plain object is read from the store as it is; a large one, a manifest in the store, is read as the
bytes it stands for. Links and segments are followed within the caller's own account only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from core.errors import Conflict, NotFound
from proxy import large
from proxy.s3.call import Call
from proxy.s3.errors import S3Error, invalid_argument
from proxy.store.port import Store
from proxy.store.record import Found, ObjectName, ObjectRecord

_MARKS = frozenset({large.SLO, large.DLO, large.LINK})


class Source:
    """An object as it reads. `size` in bytes."""

    __slots__ = ("etag", "found", "large", "record", "size", "store")

    def __init__(self, store: Store, found: Found, whole: large.LargeObject | None) -> None:
        self.store = store
        self.found = found
        # a link shows what its target is
        self.record: ObjectRecord = found.record if whole is None else whole.found.record
        self.large = whole
        self.size = found.record.size if whole is None else whole.size
        self.etag = found.record.etag if whole is None else whole.etag

    def read(self, start: int, length: int) -> AsyncIterator[bytes]:
        """Bytes [start, start+length)."""
        if self.large is not None:
            return self.large.read(start, length)
        return self.store.read(self.found, start, length)


async def open_source(call: Call, where: ObjectName) -> Source:
    """The object at a name. Raises NotFound, S3Error."""
    found = await call.store.get_object(where)
    if _MARKS.isdisjoint(found.record.attributes):
        return Source(call.store, found, None)

    async def permit(account: str, container: str, listing: bool) -> None:  # noqa: FBT001 - the type Permit
        del container, listing
        if account != call.account:
            raise S3Error("AccessDenied")

    try:
        whole = await large.open_large(call.store, found, permit=permit)
    except NotFound:
        raise S3Error("NoSuchKey") from None
    except Conflict as error:
        raise S3Error("OperationAborted", error.message) from None
    return Source(call.store, found, whole)


class Primed:
    """A stream whose first piece has been read, so that its failure is still an error document."""

    def __init__(self, stream: AsyncIterator[bytes], first: bytes) -> None:
        self._stream = stream
        self._first: bytes | None = first

    def __aiter__(self) -> Primed:
        return self

    async def __anext__(self) -> bytes:
        first = self._first
        if first is not None:
            self._first = None
            return first
        return await anext(self._stream)

    async def aclose(self) -> None:
        """Close the stream below."""
        close = getattr(self._stream, "aclose", None)
        if close is not None:
            await close()


async def primed(stream: AsyncIterator[bytes]) -> Primed:
    """Read the first piece of a stream."""
    return Primed(stream, await anext(stream, b""))


def check_version(version: str | None) -> None:
    """Without versioning there is one version, `null`. Raises InvalidArgument for any other."""
    if version is not None and version != "null":
        raise invalid_argument("versionId", version, "Invalid version id specified")
