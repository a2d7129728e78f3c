"""Log lines are JSON, one to a line, whatever is in them."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from core.log import FLUSH_S, AccessLog, JsonFormatter
from tests.virtual import World, run


def formatted(message: str, *arguments: object, error: bool = False) -> dict:
    info = None
    if error:
        try:
            raise ValueError("what went wrong\nin two lines")
        except ValueError as caught:
            info = (type(caught), caught, caught.__traceback__)
    record = logging.LogRecord("ringstack.x", logging.WARNING, "f", 1, message, arguments, info)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    return json.loads(line)


def test_a_record_is_one_line_of_json() -> None:
    """Newlines and quotes in a message cannot make another line."""
    line = formatted('a "quoted"\nmessage of %s', "ü\x00")
    assert line["message"] == 'a "quoted"\nmessage of ü\x00'
    assert (line["level"], line["logger"]) == ("warning", "ringstack.x")
    assert "error" not in line
    assert "what went wrong" in formatted("x", error=True)["error"]


def test_access_lines_are_gathered_and_written_soon(capfdbinary: pytest.CaptureFixture) -> None:
    """In order, complete, and without waiting for the next request."""

    async def work(_: World) -> None:
        log = AccessLog()
        for number in range(100):
            log.add((str(number), "tx", "GET", '/a\n"b', 200, 5, "1.2.3.4"))
        assert capfdbinary.readouterr().err == b""
        await asyncio.sleep(FLUSH_S + 0.1)
        log.flush()

    run(work)
    lines = [json.loads(line) for line in capfdbinary.readouterr().err.splitlines()]
    assert [line[0] for line in lines] == [str(number) for number in range(100)]
    assert lines[0] == ["0", "tx", "GET", '/a\n"b', 200, 5, "1.2.3.4"]
