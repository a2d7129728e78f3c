"""The bodies that make and change servers, by version. Pure."""

from __future__ import annotations

from typing import Any

from computed.api.shape import (
    address,
    any_address,
    base64_text,
    described,
    edged_name,
    flag,
    metadata,
    name,
    tag,
    uuid,
    whole,
)
from computed.fault import not_built
from core.api.fault import bad_request
from core.api.microversion import Version
from core.api.shape import (
    Check,
    Shape,
    anything,
    array,
    choice,
    nullable,
    plain_object,
    text,
    wrong,
)

USER_DATA_CHARS = 65535
HOSTNAME = text(1, 63, pattern=r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?")
FULL_HOSTNAME = text(1, 255, pattern=r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?")
DISK_CONFIG = choice("AUTO", "MANUAL")
MAPPING = Shape(
    {
        "virtual_name": text(1, 255),
        "volume_id": uuid,
        "snapshot_id": uuid,
        "volume_size": nullable(whole(1)),
        "device_name": nullable(text(1, 255)),
        "delete_on_termination": flag,
        "no_device": anything,
        "connection_info": text(1, 255),
    }
)
MAPPING_2 = Shape(
    {
        "source_type": choice("volume", "image", "snapshot", "blank"),
        "destination_type": choice("local", "volume"),
        "uuid": text(1, 255, pattern=r"[a-zA-Z0-9._-]*"),
        "image_id": uuid,
        "guest_format": text(0, 255),
        "boot_index": nullable(whole(-1)),
        "volume_size": nullable(whole(0)),
        "device_name": nullable(text(1, 255)),
        "device_type": text(0, 255),
        "disk_bus": text(0, 255),
        "delete_on_termination": flag,
        "no_device": anything,
        "tag": tag,
        "volume_type": nullable(text(0, 255)),
        "connection_info": text(1, 255),
        "volume_id": uuid,
        "snapshot_id": uuid,
        "virtual_name": text(1, 255),
    },
    more=False,
)
NETWORK = Shape(
    {"uuid": nullable(uuid), "port": nullable(uuid), "fixed_ip": any_address, "tag": tag},
    more=False,
)
FILE = Shape({"path": text(), "contents": base64_text(1 << 20)}, ["path"], more=False)
HINTS = Shape(
    {"group": uuid, "different_host": anything, "same_host": anything},
    more=False,  # what a scheduler keeps for itself is not taken from users (CVE-2026-46448)
)
HINTS_NOT_BUILT = frozenset(
    {"query", "target_cell", "different_cell", "build_near_host_ip", "cidr"}
)


def hints(value: dict[str, Any], where: str) -> None:
    """Hints for the scheduler. Raises Fault 400, 501."""
    for key in value:
        if key in HINTS_NOT_BUILT:
            raise not_built(f"The scheduler hint {key}")
    HINTS(value, where)
    for key in ("same_host", "different_host"):
        named = value.get(key, [])
        array(uuid)(named if isinstance(named, list) else [named], f"{where}.{key}")


def networks(value: Any, where: str) -> None:
    """A list of networks, or a word from 2.37 on (which is looked at later)."""
    if isinstance(value, str) and value in {"auto", "none"}:
        return
    array(NETWORK)(value, where)


def config_drive(value: Any, where: str) -> None:
    """A flag, or empty for none."""
    if value in {"", None}:
        return
    flag(value, where)


def group(value: Any, where: str) -> None:
    """A security group by name."""
    Shape({"name": text(1, 255)}, more=False)(value, where)


def _image(value: Any, where: str) -> None:
    if not isinstance(value, str) or len(value) > 512:
        raise wrong(where, value, "is not a reference to an image")


def _flavor(value: Any, where: str) -> None:
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise wrong(where, value, "is not a reference to a flavor")


COMMON: dict[str, Check] = {
    "name": edged_name,
    "metadata": metadata,
    "OS-DCF:diskConfig": DISK_CONFIG,
    "accessIPv4": address(4),
    "accessIPv6": address(6),
    "adminPass": text(0, 255),
    "personality": array(FILE),
    "user_data": base64_text(USER_DATA_CHARS),
    "description": nullable(described),
    "key_name": name,
    "trusted_image_certificates": nullable(array(text(1, 255), least=1, most=50)),
    "hostname": HOSTNAME,
}
CREATED: dict[str, Check] = {
    **COMMON,
    "imageRef": _image,
    "flavorRef": _flavor,
    "networks": networks,
    "availability_zone": text(1, 255),
    "block_device_mapping": array(MAPPING),
    "block_device_mapping_v2": array(MAPPING_2),
    "config_drive": config_drive,
    "min_count": whole(1),
    "max_count": whole(1),
    "return_reservation_id": flag,
    "security_groups": array(group),
    "tags": array(tag, most=50, unique=True),
    "host": text(1, 255),
    "hypervisor_hostname": text(1, 255),
    "os:scheduler_hints": plain_object,
    "OS-SCH-HNT:scheduler_hints": plain_object,
}
# attributes and the versions in which they are known: from, and before
VERSIONS: dict[str, tuple[Version, Version]] = {
    "description": ((2, 19), (9, 0)),
    "tags": ((2, 52), (9, 0)),
    "trusted_image_certificates": ((2, 63), (9, 0)),
    "host": ((2, 74), (9, 0)),
    "hypervisor_hostname": ((2, 74), (9, 0)),
    "hostname": ((2, 90), (9, 0)),
    "personality": ((2, 1), (2, 57)),
}
REBUILT: dict[str, Check] = {
    **COMMON,
    "imageRef": _image,
    "preserve_ephemeral": flag,
    "key_name": nullable(name),
    "user_data": nullable(base64_text(USER_DATA_CHARS)),
}
REBUILD_VERSIONS = {
    **VERSIONS,
    "key_name": ((2, 54), (9, 0)),
    "user_data": ((2, 57), (9, 0)),
}
UPDATED: dict[str, Check] = {
    key: COMMON[key]
    for key in ("name", "OS-DCF:diskConfig", "accessIPv4", "accessIPv6", "description", "hostname")
}


def fit(
    given: dict[str, Any],
    known: dict[str, Check],
    version: Version,
    *,
    versions: dict[str, tuple[Version, Version]] = VERSIONS,
    required: tuple[str, ...] = (),
) -> None:
    """Refuse what does not fit a version. Raises Fault 400."""
    fits = {
        key: check
        for key, check in known.items()
        if key not in versions or versions[key][0] <= version < versions[key][1]
    }
    if version >= (2, 63) and given.get("trusted_image_certificates"):
        raise not_built("Validation of images by certificates")
    if version >= (2, 94) and "hostname" in fits:
        fits["hostname"] = FULL_HOSTNAME
    if version < (2, 37) and isinstance(given.get("networks"), str):
        raise bad_request("Invalid input for field 'networks': it is not of type 'array'")
    if version >= (2, 37) and "networks" in known and "networks" not in given:
        raise bad_request("'networks' is a required property")
    Shape(fits, required, more=False)(given, "server")


CREATE = Shape(
    {
        "server": plain_object,
        "os:scheduler_hints": plain_object,
        "OS-SCH-HNT:scheduler_hints": plain_object,
    },
    ["server"],
    more=False,
)
