"""Conditions on requests: when to answer 304, 412 or 404 instead of acting. Pure.

Reading follows RFC 9110 section 13.2.2 (entity tags before dates). Writing follows the S3 API: a
failed `If-Match` on a missing key is NoSuchKey. Every function takes the record as it is now (None when
absent) and raises; a write runs it on the record its commit rests on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from proxy.s3.errors import S3Error, invalid_argument
from proxy.store.record import ObjectRecord


class NotModified(NamedTuple):
    """The reader has this version already: answer 304."""


NOT_MODIFIED = NotModified()


class ReadCondition(NamedTuple):
    """Conditions of GET, HEAD and of a copy's source. Dates are seconds since 1970."""

    match: str | None
    none_match: str | None
    modified_since_s: int | None
    unmodified_since_s: int | None

    def decide(self, etag: str, modified_us: int) -> NotModified | None:
        """None to go on, NOT_MODIFIED for 304. Raises PreconditionFailed (412)."""
        modified_s = modified_us // 1_000_000
        if self.match is not None:
            if not matches(self.match, etag):
                raise failed("If-Match")
        elif self.unmodified_since_s is not None and modified_s > self.unmodified_since_s:
            raise failed("If-Unmodified-Since")
        if self.none_match is not None:
            return NOT_MODIFIED if matches(self.none_match, etag) else None
        if self.modified_since_s is not None and modified_s <= self.modified_since_s:
            return NOT_MODIFIED
        return None


def read_condition(headers: Mapping[bytes, bytes], prefix: bytes = b"") -> ReadCondition | None:
    """The conditions among headers, or None. `prefix` is `x-amz-copy-source-` for a copy's source."""
    fields = [
        headers.get(prefix + name)
        for name in (b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since")
    ]
    if fields == [None, None, None, None]:
        return None
    match, none_match, modified, unmodified = fields
    return ReadCondition(_text(match), _text(none_match), _date(modified), _date(unmodified))


def decide_copy_source(condition: ReadCondition, etag: str, modified_us: int) -> None:
    """Conditions on a copy's source: all failures are 412 (CopyObject reference)."""
    if condition.decide(etag, modified_us) is not None:
        raise failed("x-amz-copy-source-If-None-Match")


class WriteCondition(NamedTuple):
    """Conditions on what a write replaces. `size` and `modified` only for deletes."""

    match: str | None = None
    none_match: str | None = None
    size: int | None = None
    modified_s: int | None = None

    def check(self, record: ObjectRecord | None) -> None:
        """Raise PreconditionFailed or NoSuchKey when the record forbids the write."""
        if record is None:
            if self.match is not None:
                raise S3Error("NoSuchKey")
            return  # a missing object satisfies conditions on size and time (DeleteObject)
        if self.none_match is not None and matches(self.none_match, record.etag):
            raise failed("If-None-Match")
        if self.match is not None and not matches(self.match, record.etag):
            raise failed("If-Match")
        if self.size is not None and self.size != record.size:
            raise failed("x-amz-if-match-size")
        if self.modified_s is not None and self.modified_s != record.modified_us // 1_000_000:
            raise failed("x-amz-if-match-last-modified-time")


def write_condition(headers: Mapping[bytes, bytes]) -> WriteCondition | None:
    """`If-Match` and `If-None-Match` of a PUT, copy or completion, or None."""
    match = headers.get(b"if-match")
    none_match = headers.get(b"if-none-match")
    if match is None and none_match is None:
        return None
    return WriteCondition(_text(match), _text(none_match))


def delete_condition(headers: Mapping[bytes, bytes]) -> WriteCondition | None:
    """Conditions of a DELETE, or None. Raises InvalidArgument."""
    match = _text(headers.get(b"if-match"))
    size = _text(headers.get(b"x-amz-if-match-size"))
    modified = _text(headers.get(b"x-amz-if-match-last-modified-time"))
    if match is None and size is None and modified is None:
        return None
    return WriteCondition(match, None, _size(size), _moment(modified))


def entry_condition(
    etag: str | None, size: str | None, modified: str | None
) -> WriteCondition | None:
    """Conditions of one entry of DeleteObjects, or None. Raises InvalidArgument."""
    if etag is None and size is None and modified is None:
        return None
    return WriteCondition(etag, None, _size(size), _moment(modified))


def matches(condition: str, etag: str) -> bool:
    """A list of entity tags, `*`, or a bare tag without quotes as S3 accepts; weak tags match too."""
    condition = condition.strip()
    if condition == "*":
        return True
    return any(
        candidate.strip().removeprefix("W/").strip('"') == etag
        for candidate in condition.split(",")
    )


def failed(condition: str) -> S3Error:
    """PreconditionFailed that names the condition."""
    return S3Error("PreconditionFailed", fields=(("Condition", condition),))


def http_seconds(text: str) -> int | None:
    """Seconds since 1970 of an HTTP date, or None when it is not one (then it is ignored)."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp())


def _date(value: bytes | None) -> int | None:
    return None if value is None else http_seconds(value.decode("latin-1"))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _size(text: str | None) -> int | None:
    if text is None:
        return None
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise invalid_argument("x-amz-if-match-size", text, "The size is not a number.")
    return int(text)


def _moment(text: str | None) -> int | None:
    """An HTTP date (header) or ISO 8601 (document), as seconds."""
    if text is None:
        return None
    seconds = http_seconds(text)
    if seconds is None:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise invalid_argument(
                "x-amz-if-match-last-modified-time", text, "The time is not valid."
            ) from None
        seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return seconds
