"""What servers need of others: ports of networks, volumes, images, and the daemons of hosts.

Each has a maker over HTTP and one in memory for tests. Errors are those of core.errors: Refused and its kinds when
asking again changes nothing, Unavailable when it may. A `token` is the caller's; without one the service itself asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec


class NetworkInfo(msgspec.Struct, frozen=True):
    """A network as its user sees it."""

    id: str
    name: str
    mtu: int = 0
    external: bool = False
    subnet_ids: tuple[str, ...] = ()
    port_security: bool = True


class PortInfo(msgspec.Struct, frozen=True):
    """A port. `addresses` are its fixed ones, (subnet id, address); `floating` those that lead to it."""

    id: str
    network_id: str
    mac: str
    project_id: str = ""
    device_id: str = ""
    device_owner: str = ""
    status: str = "DOWN"
    addresses: tuple[tuple[str, str], ...] = ()
    floating: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()


class PortAsk(msgspec.Struct, frozen=True):
    """A port to be made for a server."""

    network_id: str
    server_id: str
    owner: str  # compute:ZONE
    project_id: str
    host: str
    group_ids: tuple[str, ...] = ()
    address: str = ""
    hostname: str = ""


class Networks(Protocol):
    """The Networking API."""

    async def networks(
        self, *, token: str, project_id: str, ids: Sequence[str] = ()
    ) -> list[NetworkInfo]:
        """Those named (that the caller may see), or all that a project's servers may be put on."""
        ...

    async def name(self, network_id: str) -> NetworkInfo:
        """A network by id. Raises NotFound."""
        ...

    async def group_ids(self, names: Sequence[str], *, token: str, project_id: str) -> list[str]:
        """Ids of security groups given by name or id. Raises NotFound, Conflict (several of that name)."""
        ...

    async def group_names(self, ids: Sequence[str]) -> dict[str, str]:
        """Names of security groups."""
        ...

    async def port(self, port_id: str, *, token: str = "") -> PortInfo:
        """A port. Raises NotFound."""
        ...

    async def ports_of(self, server_id: str) -> list[PortInfo]:
        """All ports of a server, with the floating addresses that lead to them."""
        ...

    async def create_port(self, ask: PortAsk) -> PortInfo:
        """Make and bind a port. Raises Refused (no address left, quota)."""
        ...

    async def bind_port(self, port_id: str, ask: PortAsk) -> PortInfo:
        """Give a port that exists to a server on a host; again to move it."""
        ...

    async def free_port(self, port_id: str) -> None:
        """Take a port from its server; nothing when it is gone."""
        ...

    async def set_groups(self, port_id: str, group_ids: Sequence[str]) -> None:
        """Put other security groups on a port."""
        ...

    async def delete_port(self, port_id: str) -> None:
        """Remove a port; nothing when it is gone."""
        ...

    async def ask(self, method: str, path: str, body: Any = None, *, token: str) -> tuple[int, Any]:
        """What stands behind the old network calls: one request of the caller's, status and JSON."""
        ...


class VolumeInfo(msgspec.Struct, frozen=True):
    """A volume. `size_gb` is GiB."""

    id: str
    status: str
    size_gb: int
    bootable: bool = False
    multiattach: bool = False
    name: str = ""
    project_id: str = ""
    volume_type: str = ""
    image_properties: Mapping[str, str] = {}


class VolumeAsk(msgspec.Struct, frozen=True):
    """A volume to be made; `name` is unlike any other, so that a second attempt finds the first one's."""

    name: str
    size_gb: int
    image_id: str = ""
    snapshot_id: str = ""
    volume_type: str = ""
    project_id: str = ""  # whose it will be; the service's own without one
    user_id: str = ""


class Volumes(Protocol):
    """The Block Storage API."""

    async def show(self, volume_id: str, *, token: str = "") -> VolumeInfo:
        """A volume. Raises NotFound."""
        ...

    async def snapshot_size_gb(self, snapshot_id: str, *, token: str) -> int:
        """Size of a snapshot that the caller may use. Raises NotFound."""
        ...

    async def create(self, ask: VolumeAsk) -> VolumeInfo:
        """Begin a volume, or find the one of that name. Raises Refused (quota, bad image)."""
        ...

    async def find(self, name: str) -> VolumeInfo | None:
        """The volume of a name, whoever's it is."""
        ...

    async def delete(self, volume_id: str) -> None:
        """Remove a volume that nothing is attached to; nothing when it is gone. Raises Unavailable while it cannot be."""
        ...

    async def reserve(self, volume_id: str, server_id: str, *, read_only: bool = False) -> str:
        """An attachment of a volume for a server, made or found. Raises Refused when it is taken."""
        ...

    async def connect(self, attachment_id: str, host: str, device: str) -> dict[str, Any]:
        """Where a host finds the volume: the `data` of an NBD connection."""
        ...

    async def complete(self, attachment_id: str) -> None:
        """The machine has it."""
        ...

    async def detach(self, attachment_id: str) -> None:
        """The attachment is over; nothing when it is gone."""
        ...

    async def attachments_of(self, volume_id: str, server_id: str) -> list[str]:
        """Ids of a volume's attachments to a server."""
        ...

    async def snapshot(self, volume_id: str, name: str) -> tuple[str, bool]:
        """A snapshot of a volume (attached or not), made or found by its name: id, and whether it is ready."""
        ...

    async def delete_snapshot(self, snapshot_id: str) -> None:
        """Remove a snapshot; nothing when it is gone."""
        ...

    async def ask(self, method: str, path: str, body: Any = None, *, token: str) -> tuple[int, Any]:
        """What stands behind the old volume calls."""
        ...


class ImageInfo(msgspec.Struct, frozen=True):
    """An image. Sizes are bytes, `min_disk` GiB, `min_ram` MiB."""

    id: str
    status: str
    name: str = ""
    size: int = 0
    virtual_size: int = 0
    min_disk: int = 0
    min_ram: int = 0
    disk_format: str = ""
    container_format: str = ""
    owner: str = ""
    properties: Mapping[str, str] = {}


class Images(Protocol):
    """The Image API."""

    async def show(self, image_id: str, *, token: str) -> ImageInfo:
        """An image by id. Raises NotFound."""
        ...

    async def create(self, attributes: Mapping[str, Any], *, token: str) -> ImageInfo:
        """A queued image of the caller's. Raises Refused."""
        ...

    async def fill(self, image_id: str, volume_id: str, snapshot_id: str) -> None:
        """A queued image gets the bytes of a snapshot, without copying. NotFound when it was deleted meanwhile."""
        ...

    async def put_empty(self, image_id: str) -> None:
        """A queued image gets no bytes: what it is stands in its properties."""
        ...

    async def active(self, image_id: str) -> bool:
        """Whether it is; NotFound when it was deleted."""
        ...

    async def delete(self, image_id: str) -> None:
        """Remove an image that came to nothing."""
        ...

    async def backups_of(self, server_id: str, kind: str) -> list[str]:
        """Ids of a server's images of a kind of backup, the newest first."""
        ...

    async def patch(self, image_id: str, changes: Sequence[Any], *, token: str) -> None:
        """Change an image's properties by a JSON patch of the Image API. Raises Refused."""
        ...

    async def ask(self, method: str, path: str, body: Any = None, *, token: str) -> tuple[int, Any]:
        """What stands behind the old image calls."""
        ...


class Daemons(Protocol):
    """The daemons of hosts, at the addresses that they report."""

    async def log(self, address: str, server_id: str) -> bytes:
        """The last of a server's serial console. Raises NotFound, Unavailable."""
        ...

    async def diagnostics(self, address: str, server_id: str) -> dict[str, Any]:
        """Counters of a machine."""
        ...
