"""Times as the Image API writes and reads them: microseconds since 1970 UTC inside, ISO 8601 outside. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from core.api.fault import bad_request

SECOND_US = 1_000_000


def shown(time_us: int) -> str:
    """`2026-11-22T17:13:06Z`."""
    moment = datetime.fromtimestamp(time_us // SECOND_US, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def parsed(text: str) -> int:
    """Microseconds of an ISO 8601 time; UTC unless it says otherwise. Raises Fault 400."""
    try:
        moment = datetime.fromisoformat(text.strip().replace(" ", "+"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * SECOND_US)
    except (ValueError, OverflowError):
        raise bad_request(f"Invalid time: '{text[:80]}'.") from None
