"""Times as the Block Storage API writes them: ISO 8601 with microseconds, UTC, no zone. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(us: int) -> str:
    """Microseconds since 1970 as `2026-01-31T12:00:00.000000`."""
    return (EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%f")


def instant_or_none(us: int | None) -> str | None:
    """The same, and None for None."""
    return None if us is None else instant(us)


def parsed(text: str) -> int | None:
    """Microseconds since 1970 of an ISO 8601 time (UTC when it names no zone), or None when it is none."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)
