"""Which partitions need work, and in which order: decided from tables alone. Pure.

Primaries whose rows agree hold pieces of the same blobs, so only partitions whose rows differ, or of which
some device holds pieces that do not belong there, are walked. What has the fewest good copies comes first:
a copy is counted once for each replica, or for each fragment number, that is held in full.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from objectd import wire
from proxy.repair.tables import Table
from ring.epoch import Epoch
from ring.policy import Policy

FULL_SHARE = 0.99  # a row with this share of the largest one's pieces counts as a copy


class Fill(NamedTuple):
    """A device may lack pieces of a partition that `sources` hold; `spare`: copies beyond those needed."""

    policy: int
    partition: int
    device: int
    fragment: int
    sources: tuple[int, ...]  # devices whose pieces have to be looked through
    lacking: tuple[
        int, ...
    ]  # fragment numbers whose primaries agree with this device (lacking the same)
    spare: int


class Give(NamedTuple):
    """A device holds pieces of a partition that belong elsewhere."""

    policy: int
    partition: int
    device: int
    fragment: int


def fragment_of(policy: Policy, position: int) -> int:
    """Number of the piece that the primary at a position holds: replicas are all number 0."""
    return position if policy.kind == "erasure" else 0


def copies_needed(policy: Policy) -> int:
    """Pieces without which a blob is lost."""
    return policy.data if policy.kind == "erasure" else 1


def piece_work(
    epoch: Epoch, tables: Mapping[int, Table], mine: Iterable[int]
) -> tuple[list[Fill], list[Give]]:
    """What is to be done for the devices `mine`, most urgent first."""
    policies = {policy.id: policy for policy in epoch.policies}
    local = set(mine)
    held: dict[tuple[int, int], dict[tuple[int, int], wire.PiecesRow]] = defaultdict(dict)
    for device, table in tables.items():
        for (policy_id, partition, fragment), row in table.pieces.items():
            held[policy_id, partition][device, fragment] = row
    fills: list[Fill] = []
    gives: list[Give] = []
    for (policy_id, partition), rows in held.items():
        policy = policies.get(policy_id)
        if policy is None:
            continue
        one = _Partition(epoch, policy, partition, rows, tables)
        fills += one.fills(local)
        gives += [
            Give(policy_id, partition, device, fragment)
            for device, fragment in sorted(one.misplaced)
            if device in local
        ]
    fills.sort(key=lambda fill: (fill.spare, fill.policy, fill.partition, fill.device))
    return fills, gives


class _Partition:
    """One partition of one policy, as the tables show it."""

    def __init__(
        self,
        epoch: Epoch,
        policy: Policy,
        partition: int,
        rows: Mapping[tuple[int, int], wire.PiecesRow],
        tables: Mapping[int, Table],
    ) -> None:
        self._policy = policy
        self._partition = partition
        self._rows = rows
        primaries = epoch.primaries(partition, policy.width)
        self._homes = [
            (device.id, fragment_of(policy, position))
            for position, device in enumerate(primaries)
            if device.id in tables
        ]
        homes = {
            (device.id, fragment_of(policy, position)) for position, device in enumerate(primaries)
        }
        self.misplaced = [place for place in rows if place not in homes]

    def fills(self, local: set[int]) -> list[Fill]:
        """What the local devices may lack here."""
        strays = {device for device, _ in self.misplaced}
        found = []
        for device, fragment in self._homes:
            if device not in local:
                continue
            own = self._content((device, fragment))
            differing = {
                place for place in self._homes if place[0] != device and self._content(place) != own
            }
            sources = (strays | {place[0] for place in differing}) - {device}
            if not sources and device not in strays:
                continue
            lacking = tuple(
                place[1]
                for place in self._homes
                if self._policy.kind == "erasure" and self._content(place) == own
            )
            found.append(
                Fill(
                    self._policy.id,
                    self._partition,
                    device,
                    fragment,
                    tuple(sorted(sources | ({device} & strays))),
                    lacking,
                    self._spare(),
                )
            )
        return found

    def _content(self, place: tuple[int, int]) -> tuple[int, bytes]:
        row = self._rows.get(place)
        return (0, bytes(16)) if row is None else (row.pieces, row.digest)

    def _spare(self) -> int:
        most = max(row.pieces for row in self._rows.values())
        full = {place for place, row in self._rows.items() if row.pieces >= most * FULL_SHARE}
        if self._policy.kind == "erasure":
            copies = len({fragment for _, fragment in full})
        else:
            copies = len({device for device, _ in full})
        return copies - copies_needed(self._policy)


def range_work(epoch: Epoch, tables: Mapping[int, Table], device: int) -> dict[int, list[int]]:
    """Partitions of index ranges in which a device differs from peers, and from which of them."""
    nothing = wire.RangesOfRow(0, 0, 0, bytes(16))
    mine = tables[device].ranges
    found: dict[int, list[int]] = {}
    seen = {partition for table in tables.values() for partition in table.ranges}
    for partition in sorted(seen):
        replicas = {one.id for members in epoch.index_sets(partition) for one in members}
        if device not in replicas:
            continue
        own = mine.get(partition, nothing)
        peers = [
            peer
            for peer in sorted(replicas)
            if peer != device
            and peer in tables
            and tables[peer].ranges.get(partition, nothing).digest != own.digest
        ]
        if peers:
            found[partition] = peers
    return found
