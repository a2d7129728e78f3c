"""What the Block Storage API needs of others: exports of volumes on hosts, the Image API, and a place for backups.

Each has a real maker and one in memory for tests. Errors are those of core.errors: Refused and its kinds when asking
again changes nothing, Unavailable when it may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """What a volume may do in a second; 0 is no limit. Bursts are allowed for a second's worth each."""

    read_iops: int = 0
    write_iops: int = 0
    total_iops: int = 0
    read_bytes: int = 0
    write_bytes: int = 0
    total_bytes: int = 0


class ExportInfo(msgspec.Struct, frozen=True):
    """Where a client finds an export: over TCP, and on this host through a unix socket as well."""

    export: str  # the NBD export name
    host: str
    port: int
    tls: bool = False
    unix_socket: str = ""


class Exports(Protocol):
    """Volumes as NBD exports. All attachments of one volume share its one writer. Every verb may be repeated."""

    async def open(
        self, volume_id: str, attachment_id: str, *, read_only: bool, limits: Limits
    ) -> ExportInfo:
        """Serve a volume to one attachment. Raises NotFound, Unavailable."""
        ...

    async def close(self, attachment_id: str) -> None:
        """End an attachment: its clients are disconnected, what they flushed stays."""
        ...

    async def flush(self, volume_id: str) -> None:
        """Make durable what the clients of a volume have written; nothing when it is not exported."""
        ...

    async def snapshot_together(self, pairs: Sequence[tuple[str, str]]) -> None:
        """One cut through several volumes, each (volume id, snapshot id).

        Writes of their clients are held, everything before is durable and remembered, then they go on.
        """
        ...

    async def resize(self, volume_id: str, size: int) -> None:
        """Grow an exported volume to `size` bytes, and tell its clients. Raises Conflict("Shrink")."""
        ...


class ImageInfo(msgspec.Struct, frozen=True):
    """An image as the Image API shows it. Sizes are bytes, `min_disk` is GiB."""

    id: str
    status: str
    name: str = ""
    disk_format: str = ""
    container_format: str = ""
    size: int = 0
    virtual_size: int = 0
    min_disk: int = 0
    min_ram: int = 0
    checksum: str = ""
    properties: Mapping[str, str] = {}


class Place(msgspec.Struct, frozen=True):
    """A position of a volume in the library: where an image's boot form begins."""

    volume_id: str
    snapshot_id: str


class Images(Protocol):
    """The Image API. `token` is the caller's; without one the service itself asks."""

    async def show(self, image: str, *, token: str) -> ImageInfo:
        """An image by id, or by a name that is the only one. Raises NotFound, Conflict (several of that name)."""
        ...

    async def place(self, image_id: str) -> Place:
        """Where the raw form of an image begins; it is made if need be. Raises NotFound, Refused, Unavailable."""
        ...

    async def create(self, attributes: Mapping[str, Any], *, token: str) -> ImageInfo:
        """A queued image with these attributes. Raises Refused."""
        ...

    async def fill(self, image_id: str, place: Place, size: int) -> None:
        """Make a queued image active: its bytes are those at a position, `size` of them."""
        ...

    async def delete(self, image_id: str) -> None:
        """Remove an image that came to nothing."""
        ...


class Chunks(Protocol):
    """Objects of backups: names below a container, contents of some MiB."""

    async def put(self, container: str, name: str, data: bytes) -> None:
        """Store an object, making the container if need be."""
        ...

    async def get(self, container: str, name: str) -> bytes:
        """Contents of an object. Raises NotFound."""
        ...

    async def names(self, container: str, prefix: str) -> list[str]:
        """Names of objects that begin so, some thousands at most: the first ones, in order."""
        ...

    async def delete(self, container: str, name: str) -> None:
        """Remove an object; one that is not there is no error."""
        ...


class Servers(Protocol):
    """The Compute API, as far as volumes must know of servers."""

    async def uses(self, server_id: str, volume_id: str) -> bool:
        """Compute knows this server and says that the volume is attached to it. Raises Unavailable."""
        ...


class NoServers:
    """A cloud without servers."""

    async def uses(self, server_id: str, volume_id: str) -> bool:
        """None does."""
        del server_id, volume_id
        return False
