"""Simple Streams: the index by which distributions publish their images, read without trusting a word of it. Pure.

An index (`streams/v1/index.json`) names files of products; a product has versions, a version has items, and one of those is the disk.
Paths are relative to the mirror's root and may not leave it. Raises Refused("BadStream").
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import urljoin

import msgspec

from core.errors import Refused

INDEX, PRODUCTS = "index:1.0", "products:1.0"
CONTENT = "image-downloads"
# Disks that a server boots from, the best first.
KINDS = ("disk1.img", "disk-kvm.img", "disk.img", "qcow2", "uefi1.img", "disk.qcow2", "vmdk", "raw")
ROOT = "streams/v1/"


class Disk(NamedTuple):
    """A disk image of a product: where it is, what it must hash to, and how large it is (0: not said)."""

    product: str
    version: str
    title: str
    path: str
    sha256: str
    size: int


def document(raw: bytes) -> dict[str, Any]:
    """An index or a file of products."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise bad("it is not JSON") from None
    if not isinstance(body, dict) or body.get("format") not in {INDEX, PRODUCTS}:
        raise bad("it is neither an index nor a list of products")
    return body


def bad(why: str) -> Refused:
    """The refusal of a stream."""
    return Refused("BadStream", f"this is no Simple Streams document: {why}")


def root_of(url: str) -> str:
    """The address of the mirror that a document belongs to; paths in it are relative to that."""
    before, found, _ = url.rpartition(ROOT)
    return before if found else urljoin(url, ".")


def product_files(index: dict[str, Any]) -> list[str]:
    """Paths of the files of products that an index names."""
    found = [
        entry.get("path")
        for entry in _entries(index.get("index"))
        if entry.get("datatype", CONTENT) == CONTENT and entry.get("format", PRODUCTS) == PRODUCTS
    ]
    return [inside(path) for path in found if isinstance(path, str)]


def inside(path: str) -> str:
    """A path that stays below the mirror's root."""
    parts = path.split("/")
    if not path or path.startswith("/") or ".." in parts or ":" in path or "\\" in path:
        raise bad(f"the path {path[:80]!r} leads elsewhere")
    return path


def disks(products: dict[str, Any], pattern: str = "*") -> list[Disk]:
    """The newest disk of every product whose name or aliases fit a pattern, in order of names."""
    found = []
    named = products.get("products")
    known: dict[str, Any] = named if isinstance(named, dict) else {}
    for name, product in sorted(known.items(), key=lambda pair: pair[0]):
        if isinstance(product, dict) and _fits(name, product, pattern):
            disk = _newest(name, product)
            if disk is not None:
                found.append(disk)
    return found


def _fits(name: str, product: dict[str, Any], pattern: str) -> bool:
    aliases = product.get("aliases")
    names = [name, *(aliases.split(",") if isinstance(aliases, str) else ())]
    return any(fnmatchcase(one, pattern) for one in names)


def _newest(name: str, product: dict[str, Any]) -> Disk | None:
    given = product.get("versions")
    versions: dict[str, Any] = given if isinstance(given, dict) else {}
    for version, body in sorted(versions.items(), key=lambda pair: pair[0], reverse=True):
        items = body.get("items") if isinstance(body, dict) else None
        by_kind = {str(item.get("ftype")): item for item in _entries(items)}
        for kind in KINDS:
            item = by_kind.get(kind)
            if item is not None and isinstance(item.get("path"), str):
                return _disk(name, version, product, item)
    return None


def _disk(name: str, version: str, product: dict[str, Any], item: dict[str, Any]) -> Disk:
    digest, size = item.get("sha256"), item.get("size")
    title = product.get("release_title") or product.get("version") or ""
    words = [product.get("os"), title, product.get("arch")]
    return Disk(
        name,
        version,
        " ".join(word for word in words if isinstance(word, str) and word) or name,
        inside(item["path"]),
        digest.lower() if isinstance(digest, str) else "",
        size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else 0,
    )


def _entries(table: Any) -> list[dict[str, Any]]:
    if not isinstance(table, dict):
        return []
    return [entry for entry in table.values() if isinstance(entry, dict)]
