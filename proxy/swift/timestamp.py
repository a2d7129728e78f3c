"""How Swift writes times: `X-Timestamp`, HTTP dates and the ISO form of listings. Pure.

All inputs are microseconds since 1970 UTC. `Last-Modified` is rounded *up* to the second, as Swift
does, so that an object never looks older than it is to `If-Modified-Since`.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime

SECOND_US = 1_000_000


def ceil_s(time_us: int) -> int:
    """Seconds, rounded up."""
    return -(-time_us // SECOND_US)


def x_timestamp(time_us: int) -> str:
    """`1389453423.35964`: seconds with five decimals."""
    second, rest = divmod(time_us, SECOND_US)
    return f"{second:010d}.{rest // 10:05d}"


@functools.lru_cache(maxsize=1024)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def http_date(time_us: int) -> str:
    """`Last-Modified` form: RFC 9110 date of the time rounded up."""
    return _http_date(-(-time_us // SECOND_US))


@functools.lru_cache(maxsize=4096)
def iso_second(second: int) -> str:
    """`2014-01-15T16:41:49.`, ready for six digits."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.")


def iso(time_us: int) -> str:
    """`2014-01-15T16:41:49.390270`, as listings show it."""
    second, rest = divmod(time_us, SECOND_US)
    return f"{iso_second(second)}{rest:06d}"


def parse_http_date(text: str) -> int | None:
    """Seconds since 1970 of an HTTP date in any of RFC 9110's three forms, or None."""
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    try:
        return int(parsed.timestamp())
    except (ValueError, OverflowError):
        return None
