"""Conditional requests: If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since. Pure.

All conditions of a request must hold, as Swift has always read them (RFC 9110 section 13.2.2 lets a date
be ignored beside a tag of its kind). Tags compare without quotes, as Swift's answers carry both forms.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxy.store.port import Check
from proxy.store.record import ObjectRecord
from proxy.swift.errors import SwiftError
from proxy.swift.timestamp import ceil_s, parse_http_date

CONDITIONS = (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")


def plain_etag(etag: str) -> str:
    """An entity tag without weakness mark and quotes."""
    etag = etag.strip().removeprefix("W/")
    if len(etag) > 1 and etag[0] == '"' == etag[-1]:
        return etag[1:-1]
    return etag


def tags_of(value: bytes) -> frozenset[str]:
    """Entity tags of a condition header."""
    items = value.decode("latin-1").split(",")
    return frozenset(plain_etag(item) for item in items if item.strip())


def matches(value: bytes, etags: tuple[str, ...]) -> bool:
    """The condition header names one of the tags, or `*`."""
    tags = tags_of(value)
    return "*" in tags or any(etag in tags for etag in etags)


def _date(headers: Mapping[bytes, bytes], name: bytes) -> int | None:
    value = headers.get(name)
    return None if value is None else parse_http_date(value.decode("latin-1"))


def read_status(
    headers: Mapping[bytes, bytes], etags: tuple[str, ...], modified_us: int
) -> int | None:
    """304 or 412 when the conditions of a GET or HEAD do not hold, else None.

    `etags`: every tag under which the object may be known (a large object has two).
    """
    value = headers.get(b"if-none-match")
    if value is not None and matches(value, etags):
        return 304
    value = headers.get(b"if-match")
    if value is not None and not matches(value, etags):
        return 412
    since = _date(headers, b"if-modified-since")
    if since is not None and ceil_s(modified_us) <= since:
        return 304
    since = _date(headers, b"if-unmodified-since")
    return 412 if since is not None and ceil_s(modified_us) > since else None


def has_conditions(headers: Mapping[bytes, bytes]) -> bool:
    """Cheap test before the rest."""
    return (
        b"if-none-match" in headers
        or b"if-match" in headers
        or b"if-modified-since" in headers
        or b"if-unmodified-since" in headers
    )


def range_applies(headers: Mapping[bytes, bytes], etags: tuple[str, ...], modified_us: int) -> bool:
    """Whether If-Range lets Range count (RFC 9110 section 13.1.5)."""
    value = headers.get(b"if-range")
    if value is None:
        return True
    text = value.decode("latin-1").strip()
    date = None if '"' in text else parse_http_date(text)
    if date is not None:
        return date == ceil_s(modified_us)
    return plain_etag(text) in etags


def refuse_put_tags(headers: Mapping[bytes, bytes]) -> None:
    """On PUT, If-None-Match knows only `*` (Swift API): anything else is 400."""
    value = headers.get(b"if-none-match")
    if value is not None and "*" not in tags_of(value):
        raise SwiftError(400, "If-None-Match only supports *")


def write_check(headers: Mapping[bytes, bytes]) -> Check | None:
    """The condition of a PUT or DELETE, decided by the store on the confirmed record."""
    none_match = headers.get(b"if-none-match")
    match = headers.get(b"if-match")
    if none_match is None and match is None:
        return None
    refuse_put_tags(headers)

    def check(current: ObjectRecord | None) -> None:
        if none_match is not None and current is not None:
            raise SwiftError(412)
        if match is not None and (current is None or not matches(match, record_etags(current))):
            raise SwiftError(412)

    return check


def record_etags(record: ObjectRecord) -> tuple[str, ...]:
    """Every tag under which a record is known: a large object has its own and its manifest's."""
    etag = record.etag
    return (etag,) if len(etag) == 32 else (etag[:32], etag[33:], etag)
