"""A process that must not outlive the one that started it.

The kernel sends SIGTERM when the parent dies. That leaves a gap while a child starts, so the parent also says
who it is, and a child that finds itself with another parent goes at once. Light to import.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PARENT = "RINGSTACK_PARENT"  # environment: process id of the supervisor
LISTEN_FD = "RINGSTACK_LISTEN_FD"  # the listening socket that proxies share
PR_SET_PDEATHSIG = 1


def go_with_parent(parent: str | None) -> None:
    """Be told to stop when the parent dies; exit now if it has died already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if parent is not None and os.getppid() != int(parent):
        sys.exit("the process that started this one has gone")
