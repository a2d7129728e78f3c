"""What a host is told by its operator, as the plan needs it. Pure."""

from __future__ import annotations

import msgspec

TUNNEL_PORT = 4789  # RFC 7348


class Ground(msgspec.Struct, frozen=True):
    """A host's own facts. `bridges`: physical networks that an existing bridge of the machine carries.

    Every other physical network ends in the machine itself, which then holds the gateway's address.
    """

    host_space: str
    tunnel_address: str = ""  # no tunnels when empty
    tunnel_device: str = ""
    tunnel_port: int = TUNNEL_PORT
    bridges: dict[str, str] = {}
