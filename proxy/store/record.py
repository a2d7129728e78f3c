"""What a name means: the records kept in registers, and the rows of a listing. Pure.

A record is the whole truth about one name at one version. Records are msgpack arrays (msgspec
`array_like`), so fields may only ever be appended, each with a default; what a listing shows comes
first, so that a listing decodes nothing else (`Summary` is the prefix of `ObjectRecord`).

Keys of `attributes` are `<namespace>:<name>`, lower-case:
`meta:` user metadata (X-Object-Meta-*, x-amz-meta-*), `header:` standard response headers kept with the
object (cache-control, content-disposition, content-encoding, content-language, expires),
`s3:` and `swift:` what one dialect keeps for itself (checksums, large-object markers, ACLs).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

OBJECTS = "objects"
UPLOADS = "uploads"
PARTS = "parts"
SPACES = (OBJECTS, UPLOADS, PARTS)


class ObjectName(NamedTuple):
    """Where a record lives. `space` separates a container's objects from its multipart state."""

    account: str
    container: str
    name: str
    space: str = OBJECTS


class Extent(msgspec.Struct, array_like=True, frozen=True):
    """A run of bytes of one blob: `length` bytes from `start` of a blob of `blob_size` bytes."""

    blob: bytes  # 16-byte id
    policy: int
    blob_size: int
    start: int
    length: int


class PartMark(msgspec.Struct, array_like=True, frozen=True):
    """Boundary of one part of a multipart object: its number (1-10000), size and hex MD5."""

    number: int
    size: int
    etag: str
    checksum: str = ""


class Summary(msgspec.Struct, array_like=True, frozen=True):
    """What a listing shows of an object. Times are microseconds since 1970 UTC."""

    modified_us: int
    size: int
    etag: str
    content_type: str


class ObjectRecord(msgspec.Struct, array_like=True, frozen=True):
    """One version of one object.

    `size` is what GET delivers; it differs from the stored bytes only for large-object manifests,
    whose own body is `body_size` long. Body bytes are inline in the register when `manifest` is empty.
    `shared`: another record may name the same blobs, so they outlive this one.
    """

    modified_us: int
    size: int
    etag: str
    content_type: str
    attributes: dict[str, str]
    manifest: tuple[Extent, ...]
    body_size: int
    expires_s: int = 0  # seconds since 1970, 0 = never
    shared: bool = False
    parts: tuple[PartMark, ...] = ()

    def expired(self, now_us: int) -> bool:
        """True from the second named by `expires_s` on."""
        return bool(self.expires_s) and now_us >= self.expires_s * 1_000_000


class ContainerRecord(msgspec.Struct, array_like=True, frozen=True):
    """A container (an S3 bucket): its policy, metadata, and the identity of its index ranges.

    `incarnation` (16 bytes) is new for every creation, so a re-created container shares nothing with
    the deleted one. `stage` is the lowest stage at which its ranges accept requests.
    """

    modified_us: int
    created_us: int
    policy: int
    attributes: dict[str, str]
    incarnation: bytes
    stage: int = 0


class AccountRecord(msgspec.Struct, array_like=True, frozen=True):
    """An account: metadata only. An account nobody wrote to exists implicitly and is empty."""

    modified_us: int
    created_us: int
    attributes: dict[str, str]


class ContainerInfo(NamedTuple):
    """A container with its statistics (sizes in bytes)."""

    name: str
    record: ContainerRecord
    object_count: int
    bytes_used: int


class AccountInfo(NamedTuple):
    """An account with its statistics (sizes in bytes)."""

    name: str
    record: AccountRecord
    container_count: int
    object_count: int
    bytes_used: int


class Found(NamedTuple):
    """An object as read: its record, its inline body (empty when in blobs) and its version (ballot)."""

    where: ObjectName
    record: ObjectRecord
    inline: bytes
    version: bytes


class ListQuery(NamedTuple):
    """Which names to list, in byte order of their UTF-8 form.

    `marker` and `end_marker` are exclusive bounds in the direction of travel. With a `delimiter`, names
    that continue past it after `prefix` collapse into one row (a common prefix), which is not shown again
    when it is the marker itself. `limit` >= 0.
    """

    prefix: str = ""
    delimiter: str = ""
    marker: str = ""
    end_marker: str = ""
    limit: int = 10_000
    reverse: bool = False


class ObjectRow(NamedTuple):
    """A row of an object listing; `summary` is None for a common prefix (a pseudo-directory)."""

    name: str
    summary: Summary | None


class ContainerRow(NamedTuple):
    """A row of a container listing; `info` is None for a common prefix."""

    name: str
    info: ContainerInfo | None


class ObjectPage(NamedTuple):
    """Rows in order; `truncated` when names remain beyond `limit`. Shared between requests: read only.

    `memo`, if there is one, lives as long as the page stays the same: a dialect may keep there what it
    makes of the rows.
    """

    rows: list[ObjectRow]
    truncated: bool
    memo: dict[Any, Any] | None = None


class ContainerPage(NamedTuple):
    """Rows in order; `truncated` when names remain beyond `limit`."""

    rows: list[ContainerRow]
    truncated: bool


class BodyDigest(NamedTuple):
    """What the store learned from a body: size in bytes and hex MD5."""

    size: int
    md5: str


class Draft(NamedTuple):
    """What a dialect wants a new object to be. `size` and `etag` override what the body gives."""

    content_type: str
    attributes: dict[str, str]
    expires_s: int = 0
    etag: str | None = None
    size: int | None = None
    parts: tuple[PartMark, ...] = ()
