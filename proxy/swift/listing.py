"""Account and container listings as text, JSON or XML. Pure.

A JSON listing is one list of structs encoded in C; the work per row in Python is two look-ups and one
format, because a page of 10,000 rows is an ordinary request. Times are formatted once per second
that occurs. An etag longer than an MD5 belongs to a large object: `<etag>-<manifest md5>`
(static large objects) or `<etag>-<parts>` (multipart), shown as `hash` and `slo_etag`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from xml.sax.saxutils import escape, quoteattr

import msgspec

from proxy.large import LINK_SUFFIX
from proxy.store.record import ContainerRow, ObjectRow, Summary
from proxy.swift.accept import JSON, PLAIN
from proxy.swift.timestamp import iso, iso_second

MD5_CHARS = 32
XML_HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'


class ObjectEntry(msgspec.Struct, gc=False):
    """A JSON row of a container listing."""

    name: str
    bytes: int
    hash: str
    content_type: str
    last_modified: str


class LargeEntry(ObjectEntry, gc=False):
    """A JSON row of an object whose etag is not the MD5 of its bytes."""

    slo_etag: str


class LinkEntry(ObjectEntry, gc=False, omit_defaults=True):
    """A JSON row of a symbolic link; what it leads to is filled in from its record."""

    slo_etag: str = ""
    symlink_path: str = ""
    symlink_etag: str = ""
    symlink_bytes: int | None = None


class ContainerEntry(msgspec.Struct, gc=False):
    """A JSON row of an account listing."""

    name: str
    count: int
    bytes: int
    last_modified: str
    storage_policy: str


class SubdirEntry(msgspec.Struct, gc=False):
    """A JSON row of a common prefix."""

    subdir: str


Entry = ObjectEntry | ContainerEntry | SubdirEntry
_encoder = msgspec.json.Encoder()


def split_etag(etag: str) -> tuple[str, str]:
    """`hash` and `slo_etag` (unquoted, empty for others) of a record's etag."""
    if len(etag) == 2 * MD5_CHARS + 1:
        return etag[MD5_CHARS + 1 :], etag[:MD5_CHARS]
    return etag, etag if "-" in etag else ""


def object_entries(rows: Sequence[ObjectRow]) -> list[Entry]:
    """JSON rows of a container listing, in order."""
    entries: list[Entry] = []
    append = entries.append
    known, stamp = -1, ""
    for name, summary in rows:
        if summary is None:
            append(SubdirEntry(name))
            continue
        time_us = summary.modified_us
        second = time_us // 1_000_000
        if second != known:
            known, stamp = second, iso_second(second)
        etag = summary.etag
        if len(etag) == MD5_CHARS:
            append(
                ObjectEntry(
                    name,
                    summary.size,
                    etag,
                    summary.content_type,
                    f"{stamp}{time_us - second * 1_000_000:06d}",
                )
            )
        else:
            append(_large_entry(name, summary))
    return entries


def _large_entry(name: str, summary: Summary) -> ObjectEntry:
    etag = summary.etag
    rest = (summary.content_type, iso(summary.modified_us))
    if etag.endswith(LINK_SUFFIX):
        return LinkEntry(name, summary.size, etag.removesuffix(LINK_SUFFIX), *rest)
    digest, slo_etag = split_etag(etag)
    if not slo_etag:
        return ObjectEntry(name, summary.size, digest, *rest)
    return LargeEntry(name, summary.size, digest, *rest, f'"{slo_etag}"')


def container_entries(
    rows: Sequence[ContainerRow], policy_name: Callable[[int], str]
) -> list[Entry]:
    """JSON rows of an account listing, in order."""
    return [
        SubdirEntry(name)
        if info is None
        else ContainerEntry(
            name,
            info.object_count,
            info.bytes_used,
            iso(info.record.modified_us),
            policy_name(info.record.policy),
        )
        for name, info in rows
    ]


def xml_text(text: str) -> str:
    """Text safe in an XML 1.0 element; characters that XML cannot carry become U+FFFD."""
    if not text.isprintable():
        text = "".join(c if _in_xml(c) else "\ufffd" for c in text)
    return escape(text)


def _in_xml(char: str) -> bool:
    return char in "\t\n\r" or (char >= " " and char not in "\ufffe\uffff")


def _attribute(text: str) -> str:
    return quoteattr("".join(c if _in_xml(c) else "\ufffd" for c in text))


def _element(tag: str, fields: Sequence[tuple[str, object]]) -> str:
    inner = "".join(f"<{name}>{xml_text(str(value))}</{name}>" for name, value in fields)
    return f"<{tag}>{inner}</{tag}>"


def _xml_row(entry: Entry) -> str:
    if isinstance(entry, SubdirEntry):
        return f"<subdir name={_attribute(entry.subdir)}><name>{xml_text(entry.subdir)}</name></subdir>"
    if isinstance(entry, ContainerEntry):
        names = ("name", "count", "bytes", "last_modified", "storage_policy")
        return _element("container", [(name, getattr(entry, name)) for name in names])
    names = ("name", "hash", "bytes", "content_type", "last_modified")
    return _element("object", [(name, getattr(entry, name)) for name in names])


def render(kind: str, base: str, entries: Sequence[Entry], content_type: str) -> bytes:
    """Body of a listing. `kind` is "account" or "container", `base` its name."""
    if content_type == JSON:
        return _encoder.encode(entries)
    if content_type == PLAIN:
        names = [e.subdir if isinstance(e, SubdirEntry) else e.name for e in entries]
        return "".join(f"{name}\n" for name in names).encode()
    rows = "".join(_xml_row(entry) for entry in entries)
    return f"{XML_HEAD}<{kind} name={_attribute(base)}>{rows}</{kind}>".encode()
