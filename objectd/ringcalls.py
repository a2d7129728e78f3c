"""Calls about the ring: which epoch is obeyed here, and what a device forgets when ranges come or go.

A device that a partition moves to begins it with nothing: what it may still hold from an earlier time, when
it was a replica before, could be older than a deletion that everybody else has long forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from core.errors import Conflict, Corrupt
from core.frame import Frame
from core.link import FrameServer, ServerConnection
from objectd import rows, wire
from objectd.device import Device
from objectd.placement import Placement
from ring.epoch import Epoch
from ring.file import decode_epoch, encode_epoch

log = logging.getLogger("ringstack.objectd")

FORGOTTEN_AT_ONCE = 500

Slot = tuple[int, bytes]


class RingCalls:
    """The ring as one objectd obeys it. `writing` are the registers whose accepts are being written."""

    def __init__(
        self,
        frames: FrameServer,
        devices: Mapping[int, Device],
        placement: Placement,
        writing: Callable[[], AbstractSet[Slot]],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._frames = frames
        self._devices = devices
        self._writing = writing
        self._spawn = spawn
        self._settling: set[Slot] = set()
        self._learning = asyncio.Lock()
        self.placement = placement
        frames.epoch = placement.epoch.number
        self.whole = {wire.RING: self._give, wire.TELL_RING: self._told}
        self.operations = {wire.FORGET_RANGES: self._forget_ranges}

    # -- which epoch ---------------------------------------------------------------------------

    async def install(self, epoch: Epoch) -> None:
        """Keep and obey a newer ring. Raises OSError, or Conflict when it is not the one we know.

        Accepts for an older replica set that are being written may still become durable; until they have,
        no call for the newer set is answered, so that whoever reads at the new epoch reads them too.
        """
        async with self._learning:
            old = self.placement.epoch
            if epoch.number <= old.number:
                return
            for device in list(self._devices.values()):
                for partition in joined(epoch, device.identity.device, old.number):
                    await forget_partition(device, partition)
            self.placement.install(epoch)
            self._settling |= self._writing()
            self.written(None)

    def written(self, slot: Slot | None) -> None:
        """An accept is on disk, or will never be."""
        self._settling.discard(slot)
        if not self._settling:
            self._frames.epoch = self.placement.epoch.number

    def misplaced(
        self, connection: ServerConnection, call: Frame, range_id: bytes, config: int
    ) -> bool:
        """Refuse a call that was made for another replica set of its range."""
        status = self.placement.refusal(range_id, config)
        if status is None and wire.ANY_CONFIG > config > self._frames.epoch:
            status = wire.NEW_RING  # in a moment: writes for the old set are still settling
        if status is None:
            return False
        connection.reply(call, status)
        return True

    def _give(self, connection: ServerConnection, call: Frame) -> None:
        epoch = self.placement.epoch
        newer = epoch.number > wire.decode_ring_call(call.head).newer_than
        connection.reply(call, wire.OK, b"", encode_epoch(epoch) if newer else b"")

    def _told(self, connection: ServerConnection, call: Frame) -> None:
        self._spawn(self._learn(connection, call))

    async def _learn(self, connection: ServerConnection, call: Frame) -> None:
        try:
            await self.install(decode_epoch(bytes(call.body), "a ring that was told"))
        except (Corrupt, Conflict) as error:
            log.error("a ring was refused: %s", error.message)
            connection.reply(call, wire.BAD)
        except OSError as error:
            log.error("a ring could not be kept: %s", error)
            connection.reply(call, wire.FAILED)
        else:
            connection.reply(call, wire.OK)

    # -- ranges that have left -----------------------------------------------------------------

    def _forget_ranges(self, device: Device, connection: ServerConnection, call: Frame) -> None:
        """FORGET_RANGES: the device makes sure for itself that the partition is not its own."""
        message = wire.decode_forget_ranges(call.head)
        epoch = self.placement.epoch
        if not message.partition < epoch.part_count:
            connection.reply(call, wire.BAD)
        elif epoch.number < message.epoch or is_member(epoch, device, message.partition):
            connection.reply(call, wire.NEW_RING)
        else:
            self._spawn(self._forget(device, connection, call, message.partition))

    async def _forget(
        self, device: Device, connection: ServerConnection, call: Frame, partition: int
    ) -> None:
        try:
            await forget_partition(device, partition)
        except OSError as error:
            log.error("%s cannot forget partition %d: %s", device.identity.name, partition, error)
            connection.reply(call, wire.FAILED)
        else:
            connection.reply(call, wire.OK)


def is_member(epoch: Epoch, device: Device, partition: int) -> bool:
    """The device is a replica of the partition's ranges, by the old or the new set."""
    number = device.identity.device
    return any(one.id == number for members in epoch.index_sets(partition) for one in members)


def joined(epoch: Epoch, device: int, known: int) -> list[int]:
    """Partitions whose ranges move to a device by a change that began after epoch `known`."""
    began = epoch.number if epoch.joint else epoch.number - 1
    found = epoch.sources.get(epoch.index_replicas)
    if found is None or began <= known or epoch.turned_back:
        return []
    width = epoch.index_replicas
    return [
        partition
        for partition, replica in zip(found.partitions, found.replicas, strict=True)
        if epoch.primaries(partition, width)[replica].id == device
    ]


async def forget_partition(device: Device, partition: int) -> None:
    """Forget every register of a partition's ranges, durably. Raises OSError."""
    device.flush_stats()
    start = rows.STATS_TABLE + partition.to_bytes(4, "big")
    end = rows.STATS_TABLE + (partition + 1).to_bytes(4, "big")
    ranges = [key[rows.PARTITIONED_BYTES :] for key, _ in device.index.scan(start, end)]
    for range_id in ranges:
        base = rows.REGISTER_TABLE + range_id
        while True:
            names = []
            for key, value in device.index.scan(base, base + b"\xff" * 24):
                names.append((rows.peek_name(value) or key[len(base) :], rows.peek_ballot(value)))
                if len(names) == FORGOTTEN_AT_ONCE:
                    break
            if not names:
                break
            await _forget_names(device, range_id, names)


async def _forget_names(device: Device, range_id: bytes, names: list[tuple[bytes, bytes]]) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def written(error: OSError | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    device.reclaim.write_forget(range_id, names, written)
    await future
