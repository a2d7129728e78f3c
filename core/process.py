"""What every daemon of ours does at its start and end.

A daemon tells its supervisor that it is ready through an inherited pipe, listens for metrics on a loopback
port, stops cleanly on SIGTERM or SIGINT, and goes when its supervisor goes.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable

import msgspec
import uvloop

from core import log
from core.http import HttpServer
from core.link import FrameServer
from core.metrics import Metrics
from core.parent import LISTEN_FD, PARENT, go_with_parent
from core.trust import Trust

READY_FD = "RINGSTACK_READY_FD"
FOLLOW_S = 0.5


async def serve_metrics(metrics: Metrics) -> int:
    """Listen on a loopback port for scrapes; returns the port."""
    return await HttpServer(metrics.handle).listen("127.0.0.1", 0)


def inherited_listener() -> socket.socket | None:
    """The listening socket that the supervisor shares among the proxies, if there is one."""
    fd = os.environ.pop(LISTEN_FD, "")
    return socket.socket(fileno=int(fd)) if fd else None


def report_ready(ports: dict[str, int]) -> None:
    """Tell the supervisor that this process serves, and on which ports."""
    fd = os.environ.pop(READY_FD, None)
    if fd is not None:
        os.write(int(fd), msgspec.json.encode(ports))
        os.close(int(fd))


async def follow_roster(trust: Trust, server: FrameServer) -> None:
    """Cut the links of nodes soon after they were removed."""
    while True:
        await asyncio.sleep(FOLLOW_S)
        trust.refresh()
        server.drop_removed()


async def until_told(stop: asyncio.Event) -> None:
    """Wait for SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a daemon: logs, parent watch, event loop."""
    log.setup()
    go_with_parent(os.environ.get(PARENT))
    if READY_FD in os.environ:  # what this daemon starts must not hold the pipe open
        os.set_inheritable(int(os.environ[READY_FD]), False)

    async def body() -> None:
        gc.collect()
        gc.freeze()  # what was imported lives for ever; collections need not look at it again
        gc.set_threshold(50_000, 20, 50)
        await main()

    uvloop.run(body())
