"""Names to registers: which ranges an account and a container have, and how records are packed. Pure."""

from __future__ import annotations

from typing import TypeVar

import msgspec
import xxhash

from core import limits
from core.errors import Refused
from objectd import wire
from proxy.store.record import (
    AccountRecord,
    ContainerRecord,
    ObjectRecord,
    Summary,
)
from proxy.store.registers import NewRecord

ACCOUNT_NAME = b""  # the account's own register inside its range; no container has an empty name

encode = msgspec.msgpack.Encoder().encode
decode_account = msgspec.msgpack.Decoder(AccountRecord).decode
decode_container = msgspec.msgpack.Decoder(ContainerRecord).decode
decode_object = msgspec.msgpack.Decoder(ObjectRecord).decode

T = TypeVar("T")


def container_range(incarnation: bytes, space: str) -> bytes:
    """Id of a container's range for one space (objects, multipart uploads, parts)."""
    return xxhash.xxh3_128_digest(incarnation + space.encode())


def object_entry(
    record: ObjectRecord, inline: bytes, *, stamp: int = wire.NOTHING_NEW
) -> NewRecord:
    """What a register stores for an object. Parts and uploads count only in their own ranges.

    `stamp`: of the blobs that it names and its parent did not.
    """
    summary = Summary(record.modified_us, record.size, record.etag, record.content_type)
    return NewRecord(
        encode(record),
        encode(summary),
        inline,
        wire.LIVE | (wire.NAMES if record.manifest else 0),
        record.size,
        record.expires_s,
        stamp,
    )


def container_entry(record: ContainerRecord) -> NewRecord:
    """What a register stores for a container; its summary is the record itself."""
    packed = encode(record)
    return NewRecord(packed, packed, b"", wire.LIVE)


def account_entry(record: AccountRecord) -> NewRecord:
    """What a register stores for an account; not live, so that it is neither listed nor counted."""
    return NewRecord(encode(record))


def merge_attributes(attributes: dict[str, str], change: object) -> dict[str, str]:
    """Attributes after a change: None removes a key."""
    assert hasattr(change, "items")
    merged = dict(attributes)
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    return merged


def check_names(account: str, container: str | None = None, name: str | None = None) -> None:
    """Refuse names that no register may have; their characters are never interpreted otherwise."""
    _check(account, limits.ACCOUNT_NAME_BYTES_MAX)
    if container is not None:
        _check(container, limits.CONTAINER_NAME_BYTES_MAX)
    if name is not None:
        _check(name, limits.OBJECT_NAME_BYTES_MAX + 64)  # parts and uploads add their ids


def _check(name: str, bytes_max: int) -> None:
    if not name:
        raise Refused("BadName", "a name may not be empty")
    try:
        length = len(name.encode())
    except UnicodeEncodeError:
        raise Refused("BadName", "a name must be valid UTF-8") from None
    if length > bytes_max:
        raise Refused("NameTooLong", f"a name may have at most {bytes_max} bytes of UTF-8")
