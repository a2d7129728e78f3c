"""Tools of the system: their output, their status, their end."""

from __future__ import annotations

import pytest

from core import command
from core.errors import NotFound, Unavailable


async def outcome(*words: str, data: bytes = b"", timeout_s: float = 10.0) -> command.Done:
    return await command.run(*words, data=data, timeout_s=timeout_s)


def run(*words: str, data: bytes = b"", timeout_s: float = 10.0) -> command.Done:
    import asyncio

    return asyncio.run(outcome(*words, data=data, timeout_s=timeout_s))


def test_a_tool_is_given_input_and_gives_output() -> None:
    """Status, output and errors apart."""
    assert run("cat", data=b"hello") == (0, b"hello", "")
    done = run("sh", "-c", "echo no >&2; exit 3")
    assert (done.status, done.errors) == (3, "no")


def test_a_tool_that_is_missing_or_never_ends() -> None:
    """Each in words that a person can act on."""
    with pytest.raises(NotFound, match="not installed"):
        run("no-such-tool-at-all")
    with pytest.raises(Unavailable, match="did not end"):
        run("sleep", "60", timeout_s=0.05)
