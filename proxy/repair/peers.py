"""Calls of background work: patient, and clear about who did not answer."""

from __future__ import annotations

import asyncio

from core.errors import Unavailable
from core.frame import Frame
from core.link import Link
from objectd import wire

TIMEOUT_S = 10.0


async def ask(link: Link, operation: int, device: int, head: bytes) -> bytes | memoryview:
    """The body of the answer. Raises Unavailable when there is none or it is not OK."""
    return (await answer(link, operation, device, head)).body


async def answer(link: Link, operation: int, device: int, head: bytes) -> Frame:
    """The whole answer. Raises Unavailable when there is none or it is not OK."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            frame = await link.ask(operation, device, head)
    except TimeoutError:
        raise Unavailable("NoAnswer", f"device {device} does not answer") from None
    if frame.status not in {wire.OK, wire.STALE}:
        raise Unavailable("NoAnswer", f"device {device} answers {frame.status}")
    return frame
