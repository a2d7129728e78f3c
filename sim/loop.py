"""A virtual-time event loop: asyncio's own, with a selector that never waits and no real sockets.

Time passes only when every task is blocked: the clock then jumps to the next timer, so one seed is one
history and hours cost seconds. Connections are made inside `sim.net`. Threads are refused.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from core.errors import Bug

if TYPE_CHECKING:
    from sim.net import Net

NODE: contextvars.ContextVar[str] = contextvars.ContextVar("node", default="harness")


class _NoSelector(selectors._BaseSelectorImpl):
    """Never waits; turning the clock is the only way time passes."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise Bug("Deadlock", "every task is blocked and no timer is armed")
        self._loop.now += max(0.0, timeout)
        return []


class SimLoop(asyncio.SelectorEventLoop):
    """An event loop whose time, network and randomness belong to one seed."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.net: Net | None = None
        self.tasks_of: dict[str, dict[asyncio.Task[Any], None]] = {}
        self.failures: list[str] = []
        super().__init__(_NoSelector(self))
        self._clock_resolution = 1e-9
        self.set_exception_handler(self._failed)
        self.set_task_factory(self._make_task)  # type: ignore[arg-type]  # its protocol is private

    def time(self) -> float:
        """Virtual seconds."""
        return self.now

    def _make_self_pipe(self) -> None:
        self._ssock = self._csock = None
        self._internal_fds = 0

    def _close_self_pipe(self) -> None:
        pass

    def _write_to_self(self) -> None:
        raise Bug("ThreadInSimulation", "a thread woke the simulated loop")

    @staticmethod
    def _make_task(
        loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        assert isinstance(loop, SimLoop)
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        mine = loop.tasks_of.setdefault(NODE.get(), {})
        mine[task] = None
        task.add_done_callback(lambda done: mine.pop(done, None))
        return task

    @staticmethod
    def _failed(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        assert isinstance(loop, SimLoop)
        error = context.get("exception")
        loop.failures.append(f"{context.get('message')}: {error!r}")

    def cancel_node(self, node: str) -> None:
        """Stop everything a node is doing."""
        for task in list(self.tasks_of.get(node, {})):
            task.cancel()

    def run_as(self, node: str, work: Callable[[], Any]) -> Any:
        """Call a function as part of a node; tasks and connections it makes belong to the node."""
        context = contextvars.copy_context()
        context.run(NODE.set, node)
        return context.run(work)

    async def create_server(self, *args: Any, **options: Any) -> Any:
        """Listen inside the simulated network."""
        del options
        assert self.net is not None
        factory, host, port = args
        return self.net.listen(NODE.get(), factory, host, port)

    async def create_connection(self, *args: Any, **options: Any) -> Any:
        """Connect through the simulated network."""
        del options
        assert self.net is not None
        factory, host, port = args
        return await self.net.connect(NODE.get(), factory, host, port)
