"""Attributes of an image: which there are, what each may be, and which a client must not touch. Pure.

After the Image API's schema: everything that is not listed here is a property, a string under a name of at most 255
characters. Refusals are Fault 400 for a wrong value and 403 for an attribute that is not the client's.
"""

from __future__ import annotations

from typing import Any

from core.api.fault import bad_request, forbidden
from core.api.shape import Attributes, array, boolean, choice, integer, nullable, text

DISK_FORMATS = (
    "ami",
    "ari",
    "aki",
    "vhd",
    "vhdx",
    "vmdk",
    "raw",
    "qcow2",
    "vdi",
    "iso",
    "ploop",
    "luks",
)
CONTAINER_FORMATS = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
VISIBILITIES = ("community", "public", "private", "shared")
NUMBER_MAX = 2**31 - 1
TAG_COUNT_MAX = 128
PROPERTY_COUNT_MAX = 128
PROPERTY_CHARS_MAX = 65_535
NAME_CHARS_MAX = 255

UUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

# What a client may give, and what each may be.
GIVEN: Attributes = {
    "id": text(36, 36, pattern=UUID),
    "name": nullable(text(0, NAME_CHARS_MAX)),
    "visibility": choice(*VISIBILITIES),
    "protected": boolean,
    "os_hidden": boolean,
    "owner": nullable(text(0, NAME_CHARS_MAX)),
    "container_format": nullable(choice(*CONTAINER_FORMATS)),
    "disk_format": nullable(choice(*DISK_FORMATS)),
    "min_ram": integer(0, NUMBER_MAX),
    "min_disk": integer(0, NUMBER_MAX),
    "tags": array(text(0, NAME_CHARS_MAX)),
}
# An image always has these, so a patch replaces them and never removes them.
BASE = frozenset(GIVEN) - {"tags"} | {
    "status",
    "checksum",
    "size",
    "virtual_size",
    "created_at",
    "updated_at",
    "os_hash_algo",
    "os_hash_value",
}
READ_ONLY = frozenset(
    {
        "created_at",
        "updated_at",
        "status",
        "checksum",
        "size",
        "virtual_size",
        "os_hash_algo",
        "os_hash_value",
        "direct_url",
        "self",
        "file",
        "schema",
        "stores",
        "id",
    }
)
RESERVED = frozenset({"location", "deleted", "deleted_at"})
RESERVED_PREFIX = "os_glance_"
_PROPERTY = text(0, PROPERTY_CHARS_MAX)


def check_name(name: str, *, creating: bool = False) -> None:
    """Refuse an attribute that is not the client's to set. Raises Fault 400 or 403."""
    if name in READ_ONLY and not (creating and name == "id"):
        raise forbidden(f"Attribute '{name}' is read-only.")
    if name in RESERVED or name.startswith(RESERVED_PREFIX):
        raise forbidden(f"Attribute '{name}' is reserved.")
    if not name or len(name) > NAME_CHARS_MAX or "\0" in name:
        raise bad_request("Custom property should not be greater than 255 characters.")


def check_value(name: str, value: Any) -> None:
    """Refuse a value that an attribute cannot have. Raises Fault 400."""
    GIVEN.get(name, _PROPERTY)(value, name)


def split(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The attributes and the properties of a request to create an image, checked."""
    for name, value in given.items():
        check_name(name, creating=True)
        check_value(name, value)
    base = {name: value for name, value in given.items() if name in GIVEN}
    properties = {name: value for name, value in given.items() if name not in GIVEN}
    if "tags" in base:
        base["tags"] = unique(base["tags"])
    return base, properties


def unique(tags: list[str]) -> list[str]:
    """Tags without repetitions, in order."""
    return list(dict.fromkeys(tags))
