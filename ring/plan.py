"""What a change of the ring would move: partitions and bytes, in all and per device. Pure.

Bytes are an estimate from what the caller knows: the bytes on each device (spread evenly over the
partitions it holds) or the bytes of single partitions. Where nothing is known they are None.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ring.epoch import Epoch
from ring.moves import Move

ReplicaBytes = Callable[[Move], int]


@dataclass(frozen=True, slots=True)
class DeviceFlow:
    """Replicas, and bytes when known, that a device receives and gives away."""

    device: int
    parts_in: int
    parts_out: int
    bytes_in: int | None
    bytes_out: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that moves on the way to the wanted ring. `epochs` is how many steps it takes."""

    epochs: int
    parts: int
    bytes: int | None
    pending: int
    devices: tuple[DeviceFlow, ...]

    def to_json(self) -> dict[str, Any]:
        """The plan as plain data."""
        return {
            "epochs": self.epochs,
            "partitions": self.parts,
            "bytes": self.bytes,
            "pending": self.pending,
            "devices": [
                {
                    "device": flow.device,
                    "partitions_in": flow.parts_in,
                    "partitions_out": flow.parts_out,
                    "bytes_in": flow.bytes_in,
                    "bytes_out": flow.bytes_out,
                }
                for flow in self.devices
            ],
        }


def make_plan(
    moves: Iterable[Move],
    *,
    epochs: int = 1,
    pending: int = 0,
    replica_bytes: ReplicaBytes | None = None,
) -> Plan:
    """Add up the moves. `pending` partitions want a further epoch after them."""
    parts_in: Counter[int] = Counter()
    parts_out: Counter[int] = Counter()
    bytes_in: Counter[int] = Counter()
    bytes_out: Counter[int] = Counter()
    for move in moves:
        parts_in[move.target] += 1
        parts_out[move.source] += 1
        if replica_bytes is not None:
            size = replica_bytes(move)
            bytes_in[move.target] += size
            bytes_out[move.source] += size
    known = replica_bytes is not None
    return Plan(
        epochs=epochs,
        parts=parts_in.total(),
        bytes=bytes_in.total() if known else None,
        pending=pending,
        devices=tuple(
            DeviceFlow(
                device,
                parts_in[device],
                parts_out[device],
                bytes_in[device] if known else None,
                bytes_out[device] if known else None,
            )
            for device in sorted(parts_in.keys() | parts_out.keys())
        ),
    )


def bytes_by_device(epoch: Epoch, used: Mapping[int, int]) -> ReplicaBytes:
    """Estimate a replica's bytes from the bytes used on its source device in `epoch`."""
    held: Counter[int] = Counter()
    for table in epoch.tables.values():
        for position, count in Counter(table).items():
            held[epoch.devices[position].id] += count
    average = {device: used.get(device, 0) / count for device, count in held.items()}
    return lambda move: round(average.get(move.source, 0.0))


def bytes_by_partition(sizes: Mapping[tuple[int, int], int]) -> ReplicaBytes:
    """Look a replica's bytes up by (width, partition); unlisted partitions are empty."""
    return lambda move: sizes.get((move.width, move.partition), 0)
