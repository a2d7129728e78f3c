"""Times as the Networking API writes them: ISO 8601 with seconds, UTC. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(us: int) -> str:
    """Microseconds since 1970 as `2026-01-31T12:00:00Z`."""
    return (EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%SZ")


def spaced(us: int) -> str:
    """The same as `2026-01-31 12:00:00`, as agents are shown."""
    return (EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%d %H:%M:%S")
