"""The wanted state of the ring: what the operator asked for, before any epoch is built. Pure.

A `Draft` is edited by `ringstack ring create|add|set-weight|remove` and read by the builder. It is
kept as JSON.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import msgspec

from core.errors import Conflict, Corrupt, NotFound, Refused
from ring.device import Device, check_devices
from ring.policy import Policy, check_policies
from ring.settings import Settings

FORMAT = 2


@dataclass(frozen=True, slots=True)
class Draft:
    """Settings, policies, and devices in the order of their ids. Raises Refused when invalid."""

    settings: Settings
    policies: tuple[Policy, ...]
    devices: tuple[Device, ...] = ()

    def __post_init__(self) -> None:
        check_policies(self.policies)
        check_devices(self.devices)
        ordered = tuple(sorted(self.devices, key=lambda device: device.id))
        object.__setattr__(self, "devices", ordered)

    @property
    def widths(self) -> tuple[int, ...]:
        """Distinct widths, ascending: one table each."""
        return tuple(
            sorted({self.settings.index_replicas, *(policy.width for policy in self.policies)})
        )

    def with_device(self, device: Device) -> Draft:
        """Add a device; raises Conflict when the id or name is taken."""
        for other in self.devices:
            if other.id == device.id or other.name == device.name:
                raise Conflict("DeviceExists", f"device {other.id} is already named {other.name}")
        return dataclasses.replace(self, devices=(*self.devices, device))

    def with_weight(self, device_id: int, weight: float) -> Draft:
        """Set a device's weight; raises NotFound."""
        changed = dataclasses.replace(self._device(device_id), weight=weight)
        return dataclasses.replace(
            self,
            devices=tuple(changed if one.id == device_id else one for one in self.devices),
        )

    def without_device(self, device_id: int) -> Draft:
        """Remove a device; the epochs to come empty it first. Raises NotFound."""
        gone = self._device(device_id)
        return dataclasses.replace(
            self, devices=tuple(device for device in self.devices if device is not gone)
        )

    def _device(self, device_id: int) -> Device:
        for device in self.devices:
            if device.id == device_id:
                return device
        raise NotFound("UnknownDevice", f"there is no device {device_id}")


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    part_power: int
    seed: str
    index_replicas: int
    overload: float | None
    policies: tuple[dict[str, Any], ...]
    devices: tuple[dict[str, Any], ...]


def encode_draft(draft: Draft) -> bytes:
    """The draft as indented JSON."""
    document = {
        "format": FORMAT,
        "part_power": draft.settings.part_power,
        "seed": f"{draft.settings.seed:016x}",
        "index_replicas": draft.settings.index_replicas,
        "overload": draft.settings.overload,
        "policies": [dataclasses.asdict(policy) for policy in draft.policies],
        "devices": [dataclasses.asdict(device) for device in draft.devices],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def decode_draft(data: bytes, name: str) -> Draft:
    """Read a draft; raises Corrupt naming the file when it is not one."""
    try:
        document = msgspec.json.decode(data, type=_Document)
        if document.format != FORMAT:
            raise Refused("UnknownFormat", f"format {document.format} is not {FORMAT}")
        settings = Settings(
            part_power=document.part_power,
            seed=int(document.seed, 16),
            index_replicas=document.index_replicas,
            overload=document.overload,
        )
        return Draft(
            settings,
            policies=tuple(convert_policy(fields) for fields in document.policies),
            devices=tuple(convert_device(fields) for fields in document.devices),
        )
    except (msgspec.MsgspecError, ValueError, TypeError, Refused) as error:
        raise Corrupt("CorruptDraft", f"{name}: {error}") from error


def convert_device(fields: dict[str, Any]) -> Device:
    """A device from decoded JSON; raises msgspec.ValidationError, TypeError or Refused."""
    return msgspec.convert(_known(fields, Device), Device)


def convert_policy(fields: dict[str, Any]) -> Policy:
    """A policy from decoded JSON; raises msgspec.ValidationError, TypeError or Refused."""
    return msgspec.convert(_known(fields, Policy), Policy)


def _known(fields: dict[str, Any], kind: type) -> dict[str, Any]:
    unknown = set(fields) - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise TypeError(f"unknown field {min(unknown)!r}")
    return fields
