"""One storage device as the ring sees it. Pure.

A device belongs to a node (a machine, by name) in a zone of a region. Region, zone and node are
failure domains: replicas of a partition are kept as far apart as possible in that order. The
address is where its objectd listens; devices of one node may share it. The weight is a relative
share of the data; a device of weight 0 takes nothing new and is emptied by the next epochs. A
`Device` that exists is valid.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from core.errors import Refused

DEVICES_MAX = 65_535  # the tables hold positions in the device list as 16-bit numbers
DEVICE_ID_MAX = 2**31 - 1
DOMAIN_MAX = 65_535
WEIGHT_MAX = 1e12
TEXT_CHARACTERS_MAX = 4096

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_UNIX = re.compile(r"unix:[^\x00-\x1f\x7f]{1,4000}\Z")
_HOST = re.compile(r"(?:tcp|tls):(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})\Z")


@dataclass(frozen=True, slots=True)
class Device:
    """A place for replicas; raises Refused("InvalidDevice") on any field out of range.

    `node` is the name of a machine; `address` is "unix:PATH", "tcp:HOST:PORT" or "tls:HOST:PORT";
    `path` is the device's directory on that node; `weight` is relative, finite and at least 0.
    """

    id: int
    name: str
    region: int
    zone: int
    node: str
    address: str
    path: str
    weight: float

    def __post_init__(self) -> None:
        _require(_is_number(self.id, DEVICE_ID_MAX), f"device id {self.id!r} is not 0 to 2^31-1")
        prefix = f"device {self.id}: "
        _require(
            isinstance(self.name, str) and _NAME.match(self.name) is not None,
            prefix + f"name {self.name!r} is not 1 to 64 letters, digits, '.', '_' or '-'",
        )
        for field, value in (("region", self.region), ("zone", self.zone)):
            _require(
                _is_number(value, DOMAIN_MAX),
                prefix + f"{field} {value!r} is not a number from 0 to {DOMAIN_MAX}",
            )
        _require(
            isinstance(self.node, str) and _NAME.match(self.node) is not None,
            prefix + f"node {self.node!r} is not 1 to 64 letters, digits, '.', '_' or '-'",
        )
        _require(
            isinstance(self.address, str) and _is_address(self.address),
            prefix + f"address {self.address!r} is none of unix:PATH, tcp:HOST:PORT, tls:HOST:PORT",
        )
        _require(
            isinstance(self.path, str)
            and 0 < len(self.path) <= TEXT_CHARACTERS_MAX
            and "\x00" not in self.path,
            prefix + f"path {self.path!r} is empty, too long or holds a zero byte",
        )
        weight_is_number = isinstance(self.weight, (int, float)) and not isinstance(
            self.weight, bool
        )
        _require(
            weight_is_number and math.isfinite(self.weight) and 0 <= self.weight <= WEIGHT_MAX,
            prefix + f"weight {self.weight!r} is not a finite number from 0 to {WEIGHT_MAX:g}",
        )
        object.__setattr__(self, "weight", float(self.weight))


def check_devices(devices: tuple[Device, ...]) -> None:
    """Refuse a list with two devices of one id or name, or with more than DEVICES_MAX devices."""
    _require(len(devices) <= DEVICES_MAX, f"{len(devices)} devices; a ring takes {DEVICES_MAX}")
    ids: set[int] = set()
    names: set[str] = set()
    for device in devices:
        _require(device.id not in ids, f"two devices have the id {device.id}")
        _require(device.name not in names, f"two devices have the name {device.name}")
        ids.add(device.id)
        names.add(device.name)


def _is_number(value: object, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= limit


def _is_address(text: str) -> bool:
    if _UNIX.match(text):
        return True
    match = _HOST.match(text)
    return match is not None and 0 < int(match[2]) <= 65_535


def _require(condition: bool, message: str) -> None:  # noqa: FBT001
    if not condition:
        raise Refused("InvalidDevice", message)
