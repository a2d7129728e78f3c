"""Being in a network namespace: for a moment, in a thread, or for good, as a tool's process."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from core.namespace import NAMED
from networkd.plan.plan import MACHINE

CLONE_NEWNET = 0x40000000
CURRENT = "/proc/thread-self/ns/net"

T = TypeVar("T")


def path_of(name: str) -> Path:
    """The file that stands for a namespace."""
    assert name
    assert "/" not in name
    return NAMED / name


def tool(space: str, *command: str) -> tuple[str, ...]:
    """A tool's command in a namespace."""
    return command if space == MACHINE else ("nsenter", f"--net={path_of(space)}", *command)


def _set(file: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(file, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def within(name: str, function: Callable[[], T]) -> T:
    """Call a function while this thread is in a namespace. Never in the event loop's own thread (`Env.offload`).

    Sockets that it makes belong to that namespace for good. Raises OSError when there is no such namespace.
    """
    home = os.open(CURRENT, os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path_of(name), os.O_RDONLY | os.O_CLOEXEC)
        try:
            _set(there)
        finally:
            os.close(there)
        try:
            return function()
        finally:
            _set(home)
    finally:
        os.close(home)
