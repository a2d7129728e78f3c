"""The identity service's end of the line to other processes: pushes revocations, answers look-ups.

A follower's long poll is answered as soon as a transaction with revocations has committed. With PostgreSQL
other API processes may write too, so the table is also looked at twice a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from authd import revocations
from authd.authority import Authority
from core import identity_wire as wire
from core.errors import Refused
from core.frame import Frame
from core.link import FrameServer, ServerConnection

log = logging.getLogger("ringstack.authd")

LOOK_EVERY_S = 0.5

LookUp = Callable[[bytes], Awaitable[msgspec.Struct | None]]


class Followers:
    """Serves `EVENTS` and the look-ups registered by operation."""

    def __init__(self, authority: Authority, key: bytes, look_ups: dict[int, LookUp]) -> None:
        self._authority = authority
        self._look_ups = look_ups
        self._server = FrameServer(authority.env, key, self._handle)
        self._news = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        authority.database.committed.append(self._committed)

    async def listen(self, address: str) -> None:
        """Serve at an address."""
        await self._server.listen(address)
        if not self._authority.database.sqlite:
            self._start(self._watch())

    def close(self) -> None:
        """Stop serving."""
        self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _committed(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            before = self._authority.revoked.last
            await revocations.follow(self._authority.database, self._authority.revoked)
            if self._authority.revoked.last != before:
                await self._committed()

    def _handle(self, connection: ServerConnection, frame: Frame) -> None:
        self._start(self._answer(connection, frame))

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, connection: ServerConnection, frame: Frame) -> None:
        try:
            if frame.operation == wire.EVENTS:
                call = msgspec.msgpack.decode(frame.head, type=wire.EventsCall)
                reply: msgspec.Struct | None = await self._events(call)
            else:
                reply = await self._look_ups[frame.operation](frame.head)
        except (msgspec.MsgspecError, KeyError):
            connection.reply(frame, wire.BAD)
        except Refused:
            connection.reply(frame, wire.ABSENT)
        except Exception:
            log.exception("operation %d of a follower failed", frame.operation)
            connection.reply(frame, wire.FAILED)
        else:
            if reply is None:
                connection.reply(frame, wire.ABSENT)
            else:
                connection.reply(frame, wire.OK, msgspec.msgpack.encode(reply))

    async def _events(self, call: wire.EventsCall) -> wire.EventsReply:
        """Answer at once when there is something to tell, else when there is or after a while."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (wire.POLL_S if call.wait else 0)
        while True:
            news = self._news
            async with self._authority.database.read() as db:
                found = await revocations.after(db, call.after)
            left = deadline - loop.time()
            if found or left <= 0:
                synced = len(found) < revocations.BATCH
                events = tuple((e.number, e.kind, e.key, e.until_us) for e in found)
                return wire.EventsReply(events, synced)
            try:
                async with asyncio.timeout(left):
                    await news.wait()
            except TimeoutError:
                continue
