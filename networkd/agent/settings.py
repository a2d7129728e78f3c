"""`DATA/network.json`: what one host's networks are connected to. Without the file everything stays on this machine.

    {"tunnel_address": "192.0.2.11", "tunnel_device": "eth1", "bridges": {"public": "br-ex"}}

`tunnel_address` is where other hosts reach this one's VXLAN tunnels; without it the address of `cluster_listen` is taken, if it
is one. Tunnels are neither encrypted nor authenticated: they belong on a network that guests cannot reach. `bridges` names a bridge of
the machine for each physical network that leaves it; a network without one ends in the machine, which holds its gateway address.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

import msgspec

from core.errors import Corrupt
from core.installation import Config
from networkd.plan import values
from networkd.plan.ground import TUNNEL_PORT, Ground

FILE = "network.json"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file."""

    tunnel_address: str = ""
    tunnel_device: str = ""
    tunnel_port: int = TUNNEL_PORT
    bridges: dict[str, str] = {}


def load(data: Path) -> Settings:
    """Read the file. Raises Corrupt."""
    path = data / FILE
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Settings)
        for one in (found.tunnel_device, *found.bridges.values()):
            if one:
                values.device(one)
        if found.tunnel_address:
            values.address(found.tunnel_address)
    except FileNotFoundError:
        return Settings()
    except (msgspec.MsgspecError, ValueError) as error:
        raise Corrupt("BadFile", f"{path}: {error}") from None
    return found


def tunnel_address(settings: Settings, config: Config) -> str:
    """Where other hosts reach this one's tunnels; empty when nowhere."""
    if settings.tunnel_address or not config.cluster_listen:
        return settings.tunnel_address
    host = config.cluster_listen.rpartition(":")[0].strip("[]")
    try:
        found = ip_address(host)
    except ValueError:
        return ""
    return "" if found.is_unspecified or found.is_loopback else str(found)


def ground(settings: Settings, config: Config, host_space: str) -> Ground:
    """What the plan needs to know of this host."""
    return Ground(
        host_space,
        tunnel_address=tunnel_address(settings, config),
        tunnel_device=settings.tunnel_device,
        tunnel_port=settings.tunnel_port,
        bridges=settings.bridges,
    )
