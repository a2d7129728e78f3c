"""What a backup consists of: which chunks of the volume hold data, in which objects, with which digests. Pure.

Each manifest is complete: the chunks that an increment did not change are named in the objects of its
parents. A chunk that is not listed reads as zeros.
"""

from __future__ import annotations

import hashlib

import msgspec

from core.errors import Corrupt

CHUNK_BYTES = 4 << 20
FORMAT = 1


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """One stored piece: the object's name, its SHA-256 in hexadecimal and its length."""

    name: str
    digest: str
    length: int


class About(msgspec.Struct, frozen=True):
    """What a volume was besides its bytes; a restored one is that again."""

    bootable: bool = False
    metadata: dict[str, str] = {}
    image_metadata: dict[str, str] | None = None


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A backup's contents. `size`: of the volume, bytes."""

    backup_id: str
    volume_id: str
    size: int
    chunks: dict[int, Chunk]
    about: About = About()
    chunk_bytes: int = CHUNK_BYTES
    format: int = FORMAT


def digest_of(data: bytes) -> str:
    """The digest of a chunk or of a manifest."""
    return hashlib.sha256(data).hexdigest()


def encode(manifest: Manifest) -> bytes:
    """The manifest as it is stored."""
    return msgspec.json.encode(manifest)


def decode(data: bytes, digest: str | None) -> Manifest:
    """A stored manifest. Raises Corrupt when it is not what was stored, or makes no sense."""
    if digest is not None and digest_of(data) != digest:
        raise Corrupt("BadManifest", "the backup's manifest does not have its digest")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Corrupt("BadManifest", "the backup's manifest cannot be read") from None
    limit = -(-manifest.size // manifest.chunk_bytes) if manifest.chunk_bytes > 0 else 0
    sane = manifest.format == FORMAT and manifest.chunk_bytes == CHUNK_BYTES and manifest.size > 0
    if not sane or not all(
        0 <= at < limit and 0 < one.length <= manifest.chunk_bytes
        for at, one in manifest.chunks.items()
    ):
        raise Corrupt("BadManifest", "the backup's manifest contradicts itself")
    return manifest


def check(data: bytes, chunk: Chunk) -> bytes:
    """The bytes of a chunk. Raises Corrupt when they are not those that were backed up."""
    if len(data) != chunk.length or digest_of(data) != chunk.digest:
        raise Corrupt("BadChunk", f"the backup's object {chunk.name} does not have its digest")
    return data


def own_objects(manifest: Manifest, prefix: str) -> int:
    """How many objects a backup has of its own, the manifest among them."""
    return 1 + sum(1 for one in manifest.chunks.values() if one.name.startswith(f"{prefix}/"))
