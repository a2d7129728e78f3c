"""What an operator may set about the image service, in `DATA/policy/image-settings.json`.

An unknown name or a value of the wrong type stops the start. `download_allow` names networks
(`10.1.0.0/16`) that an import from the web may reach although they are not public: a mirror inside the machine room.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import msgspec

from core.errors import Corrupt
from imaged.protection import PropertyRule, check_rules

FILE = "image-settings.json"
Bytes = Annotated[int, msgspec.Meta(ge=1, le=1 << 50)]
GIB = 1 << 30

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits, where imports may come from, and who may touch which properties.

    `conversion_bytes_max`: of scratch space that conversions may take in all; a larger image stays in its own format.
    """

    image_bytes_max: Bytes = 1024 * GIB
    conversion_bytes_max: Bytes = 64 * GIB
    members_max: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 128
    download_allow: tuple[str, ...] = ()
    download_ports: tuple[Annotated[int, msgspec.Meta(ge=1, le=65_535)], ...] = ()
    default_visibility: str = "shared"
    property_protection: tuple[PropertyRule, ...] = ()

    def networks(self) -> tuple[Network, ...]:
        """`download_allow`, parsed. Raises ValueError."""
        return tuple(ipaddress.ip_network(text) for text in self.download_allow)


def load(path: Path) -> Settings:
    """The settings in a file; defaults when there is none. Raises Corrupt."""
    try:
        settings = msgspec.json.decode(path.read_bytes(), type=Settings)
        settings.networks()
        check_rules(settings.property_protection)
    except FileNotFoundError:
        return Settings()
    except (msgspec.MsgspecError, ValueError) as error:
        raise Corrupt("BadSettings", f"{path}: {error}") from None
    return settings
