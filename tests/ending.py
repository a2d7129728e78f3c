"""Ending what a test has left running, so that its loop can be closed."""

from __future__ import annotations

import asyncio

from core.database import Database

ROUNDS = 40
ROUND_S = 0.25


async def end_all(database: Database) -> None:
    """Cancel every other task, more than once where one loses its cancellation (`wait_for` of Python 3.11), then close."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for _ in range(ROUNDS):
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=ROUND_S)
    assert not tasks, tasks
    await database.close()
