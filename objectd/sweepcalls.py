"""Calls of the orphan sweep: begin a pass and end it, tell what names blobs, touch blobs."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from core.errors import Corrupt
from core.frame import Frame
from core.limits import MIB
from core.link import ServerConnection
from objectd import rows, wire
from objectd.blobcalls import status_of
from objectd.device import Device
from objectd.generation import Named
from objectd.rows import RegisterRow

log = logging.getLogger("ringstack.objectd")

LOOKED_MAX = 4000  # rows of one page
PAGE_BYTES = 2 * MIB

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class SweepCalls:
    """Answers them. `spawn` runs what has to wait for the disk."""

    def __init__(self, spawn: Spawn) -> None:
        self._spawn = spawn
        self.operations = {
            wire.GENERATION: self._generation,
            wire.BEGIN_SWEEP: self._begin,
            wire.NAMING: self._naming,
            wire.END_SWEEP: self._end,
            wire.TOUCH: self._touch,
        }

    @staticmethod
    def _generation(device: Device, connection: ServerConnection, call: Frame) -> None:
        one = device.generation
        state = wire.GenerationState(one.number, one.begun_us, one.whole)
        connection.reply(call, wire.OK, wire.encode(state))

    def _begin(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        """Raise the generation, unless it is there already."""
        message = wire.decode_sweep(call.head)
        if message.number <= device.generation.number:
            self._generation(device, connection, call)
            return

        def done(error: OSError | None) -> None:
            if error is None:
                self._generation(device, connection, call)
            else:
                connection.reply(call, status_of(error))

        device.generation.raise_to(message.number, done)

    @staticmethod
    def _end(device: Device, connection: ServerConnection, call: Frame) -> None:
        device.generation.end(wire.decode_sweep(call.head).number)
        connection.reply(call, wire.OK)

    def _naming(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_naming_call(call.head)
        one = device.generation
        if not _known(device, message):
            connection.reply(call, wire.ABSENT)
            return
        walk = one.replaced if message.replaced else one.held
        looked = size = 0
        last, found = b"", list[Named]()
        for named in itertools.islice(walk(message.after), LOOKED_MAX):
            looked += 1
            last = named.key
            if named.row is not None:
                found.append(named)
                size += named.row.meta_bytes
                if size > PAGE_BYTES:
                    break
        more = looked == LOOKED_MAX or size > PAGE_BYTES
        self._spawn(_tell(device, connection, call, found, last if more else b""))

    @staticmethod
    def _touch(device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_touch(call.head)
        stamps: list[int | None] = []

        def done(error: OSError | None) -> None:
            connection.reply(call, status_of(error), b"", wire.encode(stamps))

        device.generation.touch(message.blobs, stamps, done)


async def _tell(
    device: Device, connection: ServerConnection, call: Frame, found: list[Named], after: bytes
) -> None:
    """Answer with the metas; those that are not in their rows come from the log, verified."""
    await connection.writable()
    message = wire.decode_naming_call(call.head)
    told: list[wire.NamingRow] = []
    for named in found:
        try:
            meta = await _meta_of(device, named, replaced=message.replaced)
        except (OSError, Corrupt) as error:
            log.error("%s: a record that names blobs: %s", device.identity.name, error)
            connection.reply(call, wire.CORRUPT)
            return
        if meta:
            told.append(_row(named, meta, replaced=message.replaced))
    if not _known(device, message):
        connection.reply(call, wire.ABSENT)
        return
    connection.reply(call, wire.OK, b"", wire.encode(wire.Naming(told, after)))


def _known(device: Device, message: wire.NamingCall) -> bool:
    """What is asked for can be told."""
    one = device.generation
    if not message.number:
        return not message.replaced
    return one.number == message.number and one.whole


def _row(named: Named, meta: bytes, *, replaced: bool) -> wire.NamingRow:
    assert named.row is not None
    if replaced:
        return wire.NamingRow(b"", b"", named.row.ballot, meta)
    range_id, key = named.key[: wire.RANGE_BYTES], named.key[wire.RANGE_BYTES :]
    return wire.NamingRow(range_id, named.row.name or key, named.row.ballot, meta)


async def _meta_of(device: Device, named: Named, *, replaced: bool) -> bytes:
    """Meta of a register; nothing when it has been replaced, for then it is told with those.

    Raises OSError, Corrupt when it cannot be told.
    """
    row = named.row
    while True:
        assert row is not None
        try:
            return await _meta(device, row)
        except (OSError, Corrupt):
            value = device.index.get(rows.REGISTER_TABLE + named.key)
            now = None if replaced or value is None else rows.unpack_register(value)
            if replaced or now == row:
                raise
            if now is None or now.ballot != row.ballot:
                return b""
            row = now  # compaction moved it meanwhile


async def _meta(device: Device, row: RegisterRow) -> bytes:
    """Raises OSError, Corrupt when it cannot be told."""
    if row.damaged:
        raise Corrupt("Damaged", "its body is lost here")
    if row.meta or not row.meta_bytes:
        return row.meta
    body = await device.log.read(row.place.segment, row.body_offset, row.whole_bytes)
    if wire.digest_of(body) != row.digest:
        raise Corrupt("BadRecord", "its body does not verify")
    return body[row.summary_bytes : row.summary_bytes + row.meta_bytes]
