"""Times as the Compute API writes them: ISO 8601 in UTC, mostly in whole seconds with a Z. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(us: int) -> str:
    """Microseconds since 1970 as `2026-01-31T12:00:00Z`."""
    return (EPOCH + timedelta(seconds=us // 1_000_000)).isoformat()[:19] + "Z"


def precise(us: int | None) -> str | None:
    """`2026-01-31T12:00:00.000000`; None for None."""
    if us is None:
        return None
    return (EPOCH + timedelta(microseconds=us)).isoformat(timespec="microseconds")[:26]


def parsed(text: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time (UTC when it names no zone), or None when it is none."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)
