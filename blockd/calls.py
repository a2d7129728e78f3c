"""The control socket of the block daemon: frames to verbs of its host, and the client's end of them."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec

from blockd import wire
from blockd.host import Host
from blockd.port import ExportInfo, Limits
from core.env import Env
from core.errors import Full, RingstackError, Unavailable
from core.frame import Frame
from core.link import FrameServer, Link, ServerConnection

log = logging.getLogger("ringstack.block")

CALL_S = 60.0
CONNECT_S = 5.0
Verb = Callable[[Any], Awaitable[msgspec.Struct | None]]


class Calls:
    """Answers the calls of a host's users, who have proved the installation's key."""

    def __init__(self, env: Env, key: bytes, host: Host) -> None:
        self.frames = FrameServer(env, key, self.handle)
        self._tasks: set[asyncio.Task[None]] = set()
        self._host = host
        self._verbs: dict[int, tuple[type[msgspec.Struct] | None, Verb]] = {
            wire.OPEN: (wire.OpenCall, self._open),
            wire.CLOSE: (wire.CloseCall, lambda call: host.close(call.name)),
            wire.FLUSH: (wire.FlushCall, lambda call: host.flush(call.volume_ids)),
            wire.RESIZE: (wire.ResizeCall, lambda call: host.resize(call.volume_id, call.size)),
            wire.SNAPSHOT: (wire.SnapshotCall, lambda call: host.snapshot(call.pairs)),
            wire.LIST: (None, self._list),
        }

    def handle(self, connection: ServerConnection, call: Frame) -> None:
        """Answer one frame, later."""
        task = asyncio.get_running_loop().create_task(self._answer(connection, call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, connection: ServerConnection, call: Frame) -> None:
        kind, verb = self._verbs.get(call.operation, (None, None))
        if verb is None:
            connection.reply(call, wire.BAD)
            return
        try:
            argument = None if kind is None else msgspec.msgpack.decode(call.head, type=kind)
        except msgspec.MsgspecError as error:
            log.warning("a malformed call was refused: %s", error)
            connection.reply(call, wire.BAD)
            return
        try:
            reply = await verb(argument)
        except (RingstackError, OSError) as error:
            failure = error if isinstance(error, RingstackError) else of_system(error)
            head = msgspec.msgpack.encode(wire.failure_of(failure))
            connection.reply(call, wire.FAILED, head)
            return
        connection.reply(call, wire.OK, b"" if reply is None else msgspec.msgpack.encode(reply))

    async def _open(self, call: wire.OpenCall) -> wire.OpenReply:
        return wire.OpenReply(await self._host.open(call))

    async def _list(self, call: None) -> wire.ListReply:
        del call
        return wire.ListReply(self._host.rows())


def of_system(error: OSError) -> RingstackError:
    """What the system refused, as an error that the caller knows."""
    log.error("a call failed: %s", error)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return Full("NoRoom", "the node's own disk is full")
    return Unavailable("System", f"the node cannot do it now: {error.strerror or error}")


class DaemonExports:
    """`blockd.port.Exports` by way of a node's block daemon."""

    def __init__(self, env: Env, address: str, key: bytes) -> None:
        self._link = Link(env, address, key)

    def start(self) -> None:
        """Begin connecting."""
        self._link.start()

    def stop(self) -> None:
        """Let go of the connection."""
        self._link.close()

    async def open(
        self,
        volume_id: str,
        attachment_id: str,
        *,
        read_only: bool,
        limits: Limits,
        snapshot_id: str = "",
        time_us: int = 0,
    ) -> ExportInfo:
        """Serve a volume, or a read-only view of it, to one attachment."""
        call = wire.OpenCall(attachment_id, volume_id, read_only, snapshot_id, time_us, limits)
        head = await self._ask(wire.OPEN, call)
        return msgspec.msgpack.decode(head, type=wire.OpenReply).info

    async def close(self, attachment_id: str) -> None:
        """End an attachment."""
        await self._ask(wire.CLOSE, wire.CloseCall(attachment_id))

    async def flush(self, volume_id: str) -> None:
        """Make durable what the clients of a volume have written."""
        await self._ask(wire.FLUSH, wire.FlushCall((volume_id,)))

    async def snapshot_together(self, pairs: Sequence[tuple[str, str]]) -> None:
        """One cut through several volumes, each (volume id, snapshot id)."""
        await self._ask(wire.SNAPSHOT, wire.SnapshotCall(tuple(pairs)))

    async def resize(self, volume_id: str, size: int) -> None:
        """Grow a volume."""
        await self._ask(wire.RESIZE, wire.ResizeCall(volume_id, size))

    async def rows(self) -> tuple[wire.ExportRow, ...]:
        """What the node serves."""
        return msgspec.msgpack.decode(await self._ask(wire.LIST, None), type=wire.ListReply).exports

    async def _ask(self, operation: int, call: msgspec.Struct | None) -> bytes:
        head = b"" if call is None else msgspec.msgpack.encode(call)
        try:
            async with asyncio.timeout(CALL_S):
                if not self._link.up and not await self._link.wait_up(CONNECT_S):
                    raise Unavailable(
                        "NoBlockDaemon", "the block daemon of this node cannot be reached"
                    )
                frame = await self._link.ask(operation, 0, head)
        except TimeoutError:
            raise Unavailable("NoBlockDaemon", "the block daemon does not answer") from None
        if frame.status == wire.OK:
            return frame.head
        if frame.status == wire.FAILED:
            raise wire.error_of(msgspec.msgpack.decode(frame.head, type=wire.Failure))
        raise Unavailable("NoBlockDaemon", "the connection to the block daemon was lost")
