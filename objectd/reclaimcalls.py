"""Calls of the reclaim of tombstones: raise a floor, tell of tombstones, forget names.

Each is for one replica set of its range, and refused when that is not the one here.
"""

from __future__ import annotations

from collections.abc import Callable

from core.frame import Frame
from core.link import ServerConnection
from objectd import wire
from objectd.blobcalls import status_of
from objectd.device import Device

Misplaced = Callable[[ServerConnection, Frame, bytes, int], bool]


class ReclaimCalls:
    """Answers them. `misplaced` refuses a call that was made for another replica set."""

    def __init__(self, misplaced: Misplaced) -> None:
        self._misplaced = misplaced
        self.operations = {
            wire.FLOOR: self._floor,
            wire.TOMBSTONES: self._tombstones,
            wire.HOLDS: self._holds,
            wire.RECLAIM: self._reclaim,
        }

    def _floor(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_floor(call.head)
        if self._misplaced(connection, call, message.range_id, message.config):
            return
        if device.stats(message.range_id).floor >= message.floor:
            connection.reply(call, wire.OK)
            return
        device.reclaim.write_floor(
            message.range_id,
            message.floor,
            lambda error: connection.reply(call, status_of(error)),
        )

    def _tombstones(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_tombstones_call(call.head)
        if not self._misplaced(connection, call, message.range_id, message.config):
            page = device.reclaim.tombstones(message)
            connection.reply(call, wire.OK, b"", wire.encode(page))

    def _holds(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_rows(call.head)
        if not self._misplaced(connection, call, message.range_id, message.config):
            answer = device.reclaim.holds(message.range_id, message.rows)
            connection.reply(call, wire.OK, b"", wire.encode(answer))

    def _reclaim(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        message = wire.decode_rows(call.head)
        if self._misplaced(connection, call, message.range_id, message.config):
            return
        names = device.reclaim.reclaimable(message.range_id, message.rows)
        answer = wire.encode(len(names))
        if not names:
            connection.reply(call, wire.OK, b"", answer)
            return
        device.reclaim.write_forget(
            message.range_id,
            names,
            lambda error: connection.reply(call, status_of(error), b"", answer),
        )
