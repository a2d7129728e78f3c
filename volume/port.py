"""Volumes as services see them: one protocol, implemented on the object store and by a model in memory.

Promises (design guarantee G6): after any crash a volume equals some point in its write order at or after
the last completed `flush`; an attachment that a later one has replaced can never write again. A
snapshot is a position in a volume's log, a clone begins at one, and neither copies a byte.

Offsets, lengths and sizes are bytes. Ids are opaque text of at most 64 characters from [A-Za-z0-9_-], chosen by
the caller; every verb with an id is idempotent, so a caller that does not know what became of one
repeats it. Errors (core.errors): NotFound("NoSuchVolume" | "NoSuchSnapshot"), Conflict("VolumeExists" with another
size or source, "HasSnapshots", "SnapshotExists", "Shrink"), Refused("BadId" | "BadSize" | "OutOfRange" | "ReadOnly"),
Fenced once another attachment has taken over, Full, Unavailable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import NamedTuple, Protocol

import msgspec

from core.errors import Refused

SIZE_MAX = 16 << 40  # 16 TiB
BLOCK_BYTES = 4096  # smaller writes are possible and cost a read


class Fenced(Refused):
    """Another attachment has taken over; nothing of this one's can be written any more."""

    def __init__(self, volume_id: str) -> None:
        super().__init__("Fenced", f"volume {volume_id} has been attached elsewhere since")


class Extent(NamedTuple):
    """A run of a volume. `data` is False where it reads as zeros and nothing is stored."""

    offset: int
    length: int
    data: bool


class SnapshotInfo(msgspec.Struct, frozen=True):
    """A remembered position. `size`: of the volume at that time."""

    id: str
    position: int
    size: int
    created_us: int


class VolumeInfo(msgspec.Struct, frozen=True):
    """A volume. `position`: end of its log, as far as it was known when its state was last written.

    `stored_bytes`: of its own log objects, what it shares with its parent not counted. `owner`: whom it was last attached for.
    """

    id: str
    size: int
    created_us: int
    position: int
    stored_bytes: int = 0
    policy: str = ""
    parent: str | None = None  # volume id of which it is a clone that has not been flattened
    encrypted: bool = False
    retention_s: int = 0  # how far back `view` can look
    snapshots: tuple[SnapshotInfo, ...] = ()
    owner: str = ""


class Disk(Protocol):
    """An attached volume, or a read-only view of a position of one.

    Reads see every write that returned before they began; writes under way at the same time that overlap take
    effect in either order.
    """

    @property
    def size(self) -> int:
        """Bytes."""
        ...

    @property
    def read_only(self) -> bool:
        """Writes are refused."""
        ...

    async def read(self, offset: int, length: int) -> bytes:
        """Exactly these bytes. Raises Refused("OutOfRange"), Unavailable, Corrupt."""
        ...

    async def write(self, offset: int, data: bytes | memoryview, *, durable: bool = False) -> None:
        """Take bytes; they survive a crash after the next `flush`, or on return when `durable`.

        Waits while too much is buffered. Raises Refused, Fenced, Full, Unavailable.
        """
        ...

    async def zero(
        self, offset: int, length: int, *, durable: bool = False, allocate: bool = False
    ) -> None:
        """Make a run read as zeros and give back its space (or keep it allocated)."""
        ...

    async def flush(self) -> int:
        """Make everything that was written before durable; returns the position of the log. Raises Fenced."""
        ...

    async def extents(self, offset: int, length: int) -> list[Extent]:
        """What is data and what is a hole, in order, without gaps."""
        ...

    async def changed(self, since: int, offset: int, length: int) -> list[Extent]:
        """The same cut, `data` where something was written or zeroed after position `since`."""
        ...

    async def resize(self, size: int) -> None:
        """Grow while attached. Raises Conflict("Shrink")."""
        ...

    async def close(self) -> None:
        """Flush and let go; a read-only view just lets go."""
        ...


class Volumes(Protocol):
    """All volumes of a cluster."""

    async def create(
        self,
        volume_id: str,
        size: int,
        *,
        policy: str | None = None,
        encrypted: bool = False,
        retention_s: int = 0,
    ) -> VolumeInfo:
        """An empty volume (size 0 is allowed here: it may grow)."""
        ...

    async def clone(
        self, volume_id: str, source_id: str, snapshot_id: str, *, size: int | None = None
    ) -> VolumeInfo:
        """A volume that begins as a snapshot of another; both may go or change afterwards."""
        ...

    async def describe(self, volume_id: str) -> VolumeInfo:
        """State as last written."""
        ...

    async def delete(self, volume_id: str) -> None:
        """Remove it, and its data once no clone needs it. Raises Conflict("HasSnapshots"), NotFound."""
        ...

    async def resize(self, volume_id: str, size: int) -> VolumeInfo:
        """Grow one that is not attached (an attached one: `Disk.resize`)."""
        ...

    async def snapshot(self, volume_id: str, snapshot_id: str) -> SnapshotInfo:
        """Remember the end of the log. The caller flushes an attached volume first, if it can."""
        ...

    async def drop_snapshot(self, volume_id: str, snapshot_id: str) -> None:
        """Forget a snapshot; clones of it keep what they need. Dropping it twice is no error."""
        ...

    async def revert(self, volume_id: str, snapshot_id: str) -> None:
        """Make a volume that is not attached read as it did at a snapshot."""
        ...

    async def flatten(self, volume_id: str) -> None:
        """Copy what is still shared with the parent, so that nothing of it is needed any more."""
        ...

    async def attach(self, volume_id: str, owner: str) -> Disk:
        """Open for writing; every earlier attachment is fenced once this returns.

        `owner` says for whom, and is what `VolumeInfo.owner` shows from then on.
        """
        ...

    async def view(
        self, volume_id: str, *, snapshot_id: str | None = None, time_us: int | None = None
    ) -> Disk:
        """Read-only: a snapshot, the log's end at a time inside the retention window, or its end now."""
        ...

    def changes(
        self, volume_id: str, from_snapshot: str | None, to_snapshot: str
    ) -> AsyncIterator[Extent]:
        """What differs between two snapshots of one volume (None: before the first write), in order.

        `data` False: it reads as zeros at the later one.
        """
        ...
