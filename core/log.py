"""Structured logs: one JSON object a line on standard error, which the supervisor appends to a file.

Access lines are gathered and written four times a second. Nothing here is given headers, bodies or
query strings, so no secret can end up in a log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from typing import Any

import msgspec

FLUSH_S = 0.25
_encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """A log record as a JSON line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, message, and the traceback if there is one."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return _encode(line).decode()


def setup() -> None:
    """Send everything from warnings up, and our own notices, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("ringstack").setLevel(logging.INFO)


class AccessLog:
    """Access lines, written in batches."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._scheduled = False

    def add(self, fields: tuple[str, str, str, str, int, int, str]) -> None:
        """Queue (time, request id, method, path, status, microseconds, peer)."""
        self._lines.append(_encode(fields))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what is queued."""
        self._scheduled = False
        if self._lines:
            lines, self._lines = self._lines, []
            with contextlib.suppress(OSError):  # a full disk loses log lines, and nothing else
                sys.stderr.buffer.write(b"\n".join(lines) + b"\n")
                sys.stderr.buffer.flush()
