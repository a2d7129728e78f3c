"""Static manifests as clients send and see them (`multipart-manifest=put` and `get&format=raw`). Pure.

Input is a JSON list; an item is {"path", "etag"?, "size_bytes"?, "range"?} or {"data": base64}. Every item
that is wrong is named in one 400 answer, `Index N: why`.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from proxy.large import Segment
from proxy.swift import ranges
from proxy.swift.condition import plain_etag
from proxy.swift.errors import SwiftError
from proxy.swift.info import MANIFEST_SEGMENTS_MAX

PATH_KEYS = frozenset({"path", "etag", "size_bytes", "range"})
DATA_KEYS = frozenset({"data"})


class Wanted(NamedTuple):
    """A checked item: `path` as container and object, or `data`; `span` as asked for, or None."""

    path: str
    container: str
    name: str
    etag: str | None
    size: int | None
    span: ranges.Spec | None
    data: bytes


class BadItemError(ValueError):
    """What is wrong with one item, for the client."""


def parse(body: bytes, own: tuple[str, str]) -> list[Wanted]:
    """Items of a manifest PUT to container and object `own`; raises SwiftError 400 or 413."""
    try:
        items = msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise SwiftError(400, "Manifest must be valid JSON.\n") from None
    except RecursionError:
        raise SwiftError(400, "Manifest must be valid JSON.\n") from None
    if not isinstance(items, list):
        raise SwiftError(400, "Manifest must be a list.\n")
    wanted: list[Wanted] = []
    problems: list[str] = []
    for index, item in enumerate(items):
        try:
            wanted.append(_item(item, own, last=index == len(items) - 1))
        except BadItemError as error:
            problems.append(f"Index {index}: {error}\n")
    if items and not problems and not any(item.path for item in wanted):
        problems.append("Inline data segments require at least one object-backed segment.\n")
    if problems:
        raise SwiftError(400, "".join(problems))
    if sum(1 for item in wanted if item.path) > MANIFEST_SEGMENTS_MAX:
        raise SwiftError(
            413, f"Number of object-backed segments must be <= {MANIFEST_SEGMENTS_MAX}"
        )
    return wanted


def _item(item: Any, own: tuple[str, str], *, last: bool) -> Wanted:
    if not isinstance(item, dict):
        raise BadItemError("not a JSON object")
    if "data" in item:
        allowed = DATA_KEYS
    elif "path" in item:
        allowed = PATH_KEYS
    else:
        raise BadItemError("expected keys to include one of 'data' or 'path'")
    extra = sorted(key for key in item if key not in allowed)
    if extra:
        names = ", ".join(msgspec.json.encode(key).decode() for key in extra)
        raise BadItemError(f"extraneous keys {names}")
    if "data" in item:
        return Wanted("", "", "", None, None, None, _data(item["data"]))
    path = item["path"]
    if not isinstance(path, str):
        raise BadItemError('"path" must be a string')
    etag = item.get("etag")
    if etag is not None and not isinstance(etag, str):
        raise BadItemError('"etag" must be a string or null (if provided)')
    container, slash, name = path.lstrip("/").partition("/")
    if not (container and slash and name.strip("/")):
        raise BadItemError(
            "path does not refer to an object. Path must be of the form /container/object."
        )
    if "\0" in path:
        raise BadItemError("path contains NULL")
    size = _size(item.get("size_bytes"), last=last)
    if (container, name) == own:
        raise BadItemError("manifest must not include itself as a segment")
    span = _span(item.get("range"), size)
    tag = plain_etag(etag) if etag is not None else None
    return Wanted(path, container, name, tag, size, span, b"")


def _data(value: Any) -> bytes:
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise BadItemError("data must be valid base64") from None
    if not data:
        raise BadItemError("too small; each segment must be at least 1 byte.")
    return data


def _size(value: Any, *, last: bool) -> int | None:
    if value is None:
        return None
    try:
        size = int(value)
    except (TypeError, ValueError, OverflowError):
        raise BadItemError("invalid size_bytes") from None
    if size < 0 or (size < 1 and not last):
        raise BadItemError("too small; each segment must be at least 1 byte.")
    return size


def _span(value: Any, size: int | None) -> ranges.Spec | None:
    if not value:
        return None
    specs = ranges.parse(f"bytes={value}") if isinstance(value, str) else None
    if specs is None:
        raise BadItemError("invalid range")
    if len(specs) > 1:
        raise BadItemError("multiple ranges (only one allowed)")
    if size is not None and not ranges.satisfiable(specs, size):
        raise BadItemError("unsatisfiable range")
    return specs[0]


def raw(segments: Sequence[Segment]) -> bytes:
    """The manifest in the form in which a client would PUT it."""
    items: list[dict[str, Any]] = []
    for segment in segments:
        if segment.data:
            items.append({"data": segment.data})
            continue
        item: dict[str, Any] = {"etag": segment.etag, "path": segment.name}
        if segment.span:
            item["range"] = segment.span
        item["size_bytes"] = segment.size
        items.append(item)
    return msgspec.json.encode(items)
